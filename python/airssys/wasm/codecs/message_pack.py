"""MessagePack, by msgspec."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

__all__ = ["MessagePackCodec"]


@lru_cache(maxsize=256)
def _decoder(expected: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(expected)


class MessagePackCodec:
    """MessagePack: the fastest here, and nearly as small as CBOR.

    Integers have at most 64 bits. Without a type, the keys of maps may be anything that hashes, and
    crafted ones collide: give a type when the sender is not trusted.
    """

    name = "messagepack"
    prefix = 0x0201

    def encode(self, value: object, type: Any) -> bytes:  # noqa: A002, ARG002
        """Write what msgspec knows: builtins, dataclasses, structs, enums, dates, UUIDs."""
        return msgspec.msgpack.encode(value)

    def decode(self, body: bytes, type: Any) -> Any:  # noqa: A002
        """Read one value, checked against `type` where there is one."""
        return msgspec.msgpack.decode(body) if type is None else _decoder(type).decode(body)
