"""The codec that leaves bytes alone."""

from __future__ import annotations

from typing import Any

__all__ = ["RawCodec"]


class RawCodec:
    """Bytes as they are, for content that has its own format."""

    name = "raw"
    prefix = 0x55

    def encode(self, value: object, type: Any) -> bytes:  # noqa: A002, ARG002
        """Take any buffer of bytes."""
        if isinstance(value, bytes):
            return value
        if isinstance(value, bytearray | memoryview):
            return bytes(value)
        raise TypeError(f"raw takes bytes, not {value.__class__.__name__}; encode it with cbor")

    def decode(self, body: bytes, type: Any) -> bytes:  # noqa: A002
        """Return the bytes."""
        if type not in {None, bytes, Any, object}:
            raise TypeError(f"raw holds bytes; {type!r} was expected")
        return body
