"""Payloads of messages: their prefix, and each codec behind it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Annotated, Any

from airssys.wasm import codecs
from airssys.wasm.codecs import PayloadUndecodable, UnknownCodec, ValueUnencodable
from airssys.wasm.codecs.borsh import Length, i64, u8, u32
from airssys.wasm.codecs.prefix import PREFIXES, read_prefix, write_prefix


@dataclass(frozen=True, order=True)
class Leaf:
    """A part without parts."""

    key: Annotated[bytes, Length(3)]
    weight: float


@dataclass
class Branch:
    """Every shape that Borsh writes."""

    name: str
    counts: dict[u32, i64]
    flags: set[bool]
    pair: tuple[u8, str] | None
    children: list[Branch | Leaf]


def payloads(data: bytes) -> None:
    """Decode bytes by their own prefix and by each codec, as anything and as a type.

    Borsh writes what it read as it was: one value has one encoding.
    """
    found = read_prefix(data)
    if found is not None and write_prefix(found[0]) != data[: found[1]]:
        raise AssertionError("a prefix has two spellings")
    _decode(data, None)
    for name in ("cbor", "json", "messagepack", "raw"):
        _decode(write_prefix(PREFIXES[name]) + data, None)
        _decode(write_prefix(PREFIXES[name]) + data, Branch)
    borsh = write_prefix(PREFIXES["borsh"]) + data
    value = _decode(borsh, Branch)
    if value is not None and codecs.encode(value, "borsh", type=Branch) != borsh:
        raise AssertionError(f"{value} was written otherwise")


def _decode(payload: bytes, kind: Any) -> Any:
    value = None
    with contextlib.suppress(PayloadUndecodable, UnknownCodec):
        value = codecs.decode(payload, type=kind)
        # What came in goes out again, unless the codec has no bytes for it.
        with contextlib.suppress(ValueUnencodable):
            codecs.encode(value, "cbor")
    return value
