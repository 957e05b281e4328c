"""Public keys of Ed25519, as one line of text."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from typing import TYPE_CHECKING, Final, Self

from airssys.osl.regular_file import read_regular
from airssys.wasm.trust.errors import KeyUnusable

if TYPE_CHECKING:
    import os

__all__ = ["KIND", "MOST", "PublicKey"]

#: How the line of a public key begins.
KIND: Final = "airssys-ed25519"
#: Bytes of the largest file that is read for a key.
MOST: Final = 1 << 16


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
        if len(words) < 2 or words[0] != KIND:
            # What was taken for a public key may be a private one, which is not for a terminal.
            private = "PRIVATE KEY" in text
            shown = "a private key" if private else repr(text.strip()[:60])
            raise KeyUnusable(
                f"not a public key: {shown}",
                hint=f"expected '{KIND} BASE64', as `airssys keygen` writes to FILE.pub",
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
            return cls.parse(read_regular(path, MOST).decode())
        except UnicodeDecodeError as error:
            raise KeyUnusable(f"{path}: not a public key, but bytes that are no text") from error
        except KeyUnusable as error:
            raise KeyUnusable(f"{path}: {error.summary}", hint=error.hint) from error

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether `signature` is this key's over `message`."""
        # 35 ms that a host without signed components does without.
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
            Ed25519PublicKey,
        )

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        return f"{KIND} {base64.b64encode(self.raw).decode()}"
