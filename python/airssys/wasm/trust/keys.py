"""Ed25519 keys: private ones in files that only their owner may read, public ones as one line."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import stat
from pathlib import Path
from typing import Self

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from airssys.wasm.trust.errors import KeyUnusable

__all__ = ["PublicKey", "SigningKey"]

_KIND = "airssys-ed25519"


@dataclasses.dataclass(frozen=True, slots=True)
class PublicKey:
    """What verifies signatures.

    Attributes:
        raw: The 32 bytes of RFC 8032.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise KeyUnusable(f"a public key has 32 bytes, this one has {len(self.raw)}")

    @property
    def id(self) -> str:
        """The name of the key in signatures and stores: the first 16 bytes of its SHA-256, hex."""
        return hashlib.sha256(self.raw).hexdigest()[:32]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the line that `str(key)` makes; a comment may follow it.

        Raises:
            KeyUnusable: It is no such line.
        """
        words = text.split()
        if len(words) < 2 or words[0] != _KIND:
            # What was taken for a public key may be a private one, which is not for a terminal.
            private = "PRIVATE KEY" in text
            shown = "a private key" if private else repr(text.strip()[:60])
            raise KeyUnusable(
                f"not a public key: {shown}",
                hint=f"expected '{_KIND} BASE64', as `airssys keygen` writes to FILE.pub",
            )
        try:
            raw = base64.b64decode(words[1], validate=True)
        except ValueError as error:  # binascii's is one, and so is that of letters beyond ASCII
            raise KeyUnusable(f"a public key is not base64: {error}") from error
        return cls(raw)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a key from a file.

        Raises:
            KeyUnusable: It holds no public key.
            OSError: The file cannot be read.
        """
        try:
            return cls.parse(Path(path).read_text("utf-8"))
        except UnicodeDecodeError as error:
            raise KeyUnusable(f"{path}: not a public key, but bytes that are no text") from error
        except KeyUnusable as error:
            raise KeyUnusable(f"{path}: {error.summary}", hint=error.hint) from error

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether `signature` is this key's over `message`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        return f"{_KIND} {base64.b64encode(self.raw).decode()}"


class SigningKey:
    """What makes signatures. Its file is PKCS #8 in PEM, encrypted where a passphrase is given."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        #: Its public half.
        self.public = PublicKey(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Self:
        """Make a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: str | os.PathLike[str], passphrase: str | None = None) -> Self:
        """Read a key from its file.

        Args:
            path: The file, which only its owner may be able to read.
            passphrase: What it is encrypted with.

        Raises:
            KeyUnusable: Others may read it, it is damaged or another kind of key, or the
                passphrase is missing or wrong.
            OSError: The file cannot be read.
        """
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
            if content.startswith(f"{_KIND} ".encode()):
                raise KeyUnusable(
                    f"{path} is a public key",
                    hint="give the private one, which `airssys keygen` writes beside it",
                )
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise KeyUnusable(
                    f"the private key {path} may be used by others (mode {mode & 0o777:03o})",
                    hint=f"chmod 600 {path}, and make another key if somebody may have read it",
                )
        try:
            key = serialization.load_pem_private_key(
                content, None if passphrase is None else passphrase.encode()
            )
        except TypeError as error:
            needs = "needs a passphrase" if passphrase is None else "is not encrypted"
            raise KeyUnusable(f"the private key {path} {needs}") from error
        except (ValueError, UnsupportedAlgorithm, InternalError) as error:
            reason = "is damaged" if passphrase is None else "is damaged, or the passphrase wrong"
            raise KeyUnusable(f"the private key {path} {reason}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyUnusable(f"{path} is not an Ed25519 key", hint="`airssys keygen` makes one")
        return cls(key)

    def save(self, path: str | os.PathLike[str], passphrase: str | None = None) -> None:
        """Write the key to a new file of mode 0600, and its public half to `<path>.pub`.

        Args:
            path: The file; it must not exist.
            passphrase: Encrypt it with this.

        Raises:
            FileExistsError: There is a file already; it is left as it is.
            OSError: It cannot be written.
        """
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase is not None:
            encryption = serialization.BestAvailableEncryption(passphrase.encode())
        content = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )
        for file, data, mode in (
            (Path(path), content, 0o600),
            (Path(f"{path}.pub"), f"{self.public}\n".encode(), 0o644),
        ):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(file, flags, mode), "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature over `message`."""
        return self._key.sign(message)
