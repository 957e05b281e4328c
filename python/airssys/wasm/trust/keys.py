"""Private keys of Ed25519, in files that only their owner may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Self

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from airssys.osl.regular_file import read_regular_with
from airssys.wasm.trust.errors import KeyUnusable
from airssys.wasm.trust.public_key import KIND, MOST, PublicKey

__all__ = ["SigningKey"]


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
        content, found = read_regular_with(path, MOST)
        mode = found.st_mode
        if content.startswith(f"{KIND} ".encode()):
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
