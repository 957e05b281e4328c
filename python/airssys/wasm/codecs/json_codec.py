"""JSON, by msgspec."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

__all__ = ["JsonCodec"]


@lru_cache(maxsize=256)
def _decoder(expected: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(expected)


class JsonCodec:
    """JSON (RFC 8259) in UTF-8; the most readable, and known everywhere.

    Bytes become base64 text and dates RFC 3339 text, which come back as what they were only where a
    type says so. JSON has no NaN and no infinities: they are written as `null`.
    """

    name = "json"
    prefix = 0x0200

    def encode(self, value: object, type: Any) -> bytes:  # noqa: A002, ARG002
        """Write what msgspec knows: builtins, dataclasses, structs, enums, dates, UUIDs."""
        return msgspec.json.encode(value)

    def decode(self, body: bytes, type: Any) -> Any:  # noqa: A002
        """Read one value, checked against `type` where there is one."""
        return msgspec.json.decode(body) if type is None else _decoder(type).decode(body)
