"""Borsh as a codec of messages."""

from __future__ import annotations

import dataclasses
import enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airssys.wasm.codecs.borsh.build import build
from airssys.wasm.codecs.borsh.reader import Reader

if TYPE_CHECKING:
    from airssys.wasm.codecs.borsh.schema import Schema

__all__ = ["BorshCodec"]


@lru_cache(maxsize=256)
def _schema(annotation: Any) -> Schema:
    return build(annotation)


class BorshCodec:
    """Borsh: one encoding per value, the smallest where both sides know the type.

    It reads only what it would write: keys in order, no byte left over, no NaN.
    """

    name = "borsh"
    prefix = 0x0701

    def encode(self, value: object, type: Any) -> bytes:  # noqa: A002
        """Write a value as `type`, or as its own type if that is a dataclass or an enum."""
        if type is None:
            if not (dataclasses.is_dataclass(value) or isinstance(value, enum.Enum)):
                raise TypeError("Borsh writes by type; pass type=, or a dataclass")
            type = value.__class__  # noqa: A001
        out = bytearray()
        _schema(type).write(out, value)
        return bytes(out)

    def decode(self, body: bytes, type: Any) -> Any:  # noqa: A002
        """Read a value of `type`."""
        if type is None:
            raise TypeError("the bytes of Borsh do not say what they are; pass the type")
        reader = Reader(body)
        value = _schema(type).read(reader)
        if reader.left:
            raise ValueError(f"{reader.left} bytes follow the value")
        return value
