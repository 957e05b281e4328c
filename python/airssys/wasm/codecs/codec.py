"""What a codec is."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Codec"]


class Codec(Protocol):
    """Turns values into bytes and back; the prefix is not part of the bytes it sees.

    `encode` and `decode` raise `ValueError` or `TypeError` with a text that names what is wrong;
    the caller gets it as the reason of a `ValueUnencodable` or `PayloadUndecodable`. Both must be
    bounded for whatever bytes arrive: in depth, and in memory by the size of the payload.
    """

    @property
    def name(self) -> str:
        """What deployments and errors call it: lower-case, such as `"cbor"`."""
        ...

    @property
    def prefix(self) -> int:
        """Its number in the multicodec table, or one of the private range from 0x300000."""
        ...

    def encode(self, value: object, type: Any) -> bytes:  # noqa: A002 - as `decode` names it
        """Write a value; `type` says as what, where that is not plain, else None."""
        ...

    def decode(self, body: bytes, type: Any) -> Any:  # noqa: A002 - msgspec's name for it
        """Read exactly one value; `type` is what is expected, or None for what the bytes say."""
        ...
