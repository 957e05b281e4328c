"""Types made of others: lists, sets, maps, tuples, structs, options, enums."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from airssys.wasm.codecs.borsh.scalars import Length, shown, write_length
from airssys.wasm.codecs.borsh.schema import Schema

if TYPE_CHECKING:
    import enum
    from collections.abc import Sequence

    from airssys.wasm.codecs.borsh.reader import Reader

__all__ = [
    "enum_of_dataclasses",
    "enum_of_members",
    "list_of",
    "map_of",
    "option_of",
    "set_of",
    "struct_of",
    "tuple_of",
]


def _sized(item: Schema, what: str) -> None:
    # A few bytes could otherwise claim four thousand million items.
    if item.least == 0:
        raise TypeError(f"a {what} of items that take no byte has no Borsh encoding")


def list_of(item: Schema, length: Length | None) -> Schema:
    """Make the schema of a list, of any number of items or of a fixed one."""
    _sized(item, "list")

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, list | tuple):
            raise TypeError(f"{shown(value)} is no list")
        if length is None:
            write_length(out, value)
        elif len(value) != length.items:
            raise ValueError(f"{length.items} items expected, {len(value)} given")
        for one in value:
            item.write(out, one)

    def read(reader: Reader) -> list[Any]:
        count = reader.length(item.least) if length is None else length.items
        return [item.read(reader) for _ in range(count)]

    least = 4 if length is None else length.items * item.least
    return Schema(write, read, least, lambda value: isinstance(value, list))


def _in_order(keys: Sequence[Any], at: int) -> None:
    for first, second in itertools.pairwise(keys):
        if not first < second:
            raise ValueError(f"byte {at}: keys repeat or are not in order")


def set_of(item: Schema, kind: type[set[Any] | frozenset[Any]]) -> Schema:
    """Make the schema of a set, written in the order of its items."""
    _sized(item, "set")

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, set | frozenset):
            raise TypeError(f"{shown(value)} is no set")
        write_length(out, value)
        for one in sorted(value):
            item.write(out, one)

    def read(reader: Reader) -> Any:
        at = reader.position
        items = [item.read(reader) for _ in range(reader.length(item.least))]
        _in_order(items, at)
        return kind(items)

    return Schema(write, read, 4, lambda value: isinstance(value, kind))


def map_of(key: Schema, item: Schema) -> Schema:
    """Make the schema of a map, written in the order of its keys."""
    _sized(key, "map")

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, dict):
            raise TypeError(f"{shown(value)} is no dict")
        write_length(out, value)
        for one in sorted(value):
            key.write(out, one)
            item.write(out, value[one])

    def read(reader: Reader) -> dict[Any, Any]:
        at = reader.position
        count = reader.length(key.least + item.least)
        pairs = [(key.read(reader), item.read(reader)) for _ in range(count)]
        _in_order([pair[0] for pair in pairs], at)
        return dict(pairs)

    return Schema(write, read, 4, lambda value: isinstance(value, dict))


def tuple_of(items: Sequence[Schema]) -> Schema:
    """Make the schema of a tuple."""

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, tuple | list) or len(value) != len(items):
            raise TypeError(f"{shown(value)} is no tuple of {len(items)}")
        for item, one in zip(items, value, strict=True):
            item.write(out, one)

    def read(reader: Reader) -> tuple[Any, ...]:
        return tuple(item.read(reader) for item in items)

    least = sum(item.least for item in items)
    return Schema(write, read, least, lambda value: isinstance(value, tuple))


def struct_of(kind: type, fields: Sequence[tuple[str, Schema]]) -> Schema:
    """Make the schema of a dataclass: its fields in order."""

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, kind):
            raise TypeError(f"{shown(value)} is no {kind.__name__}")
        for name, schema in fields:
            try:
                schema.write(out, getattr(value, name))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{kind.__name__}.{name}: {error}") from None

    def read(reader: Reader) -> Any:
        return kind(**{name: schema.read(reader) for name, schema in fields})

    least = sum(schema.least for _, schema in fields)
    return Schema(write, read, least, lambda value: isinstance(value, kind))


def option_of(item: Schema) -> Schema:
    """Make the schema of what may be None."""

    def write(out: bytearray, value: Any) -> None:
        out.append(value is not None)
        if value is not None:
            item.write(out, value)

    def read(reader: Reader) -> Any:
        return item.read(reader) if reader.choice(2, "option") else None

    return Schema(write, read, 1, lambda value: value is None or item.matches(value))


def enum_of_dataclasses(variants: Sequence[Schema], names: str) -> Schema:
    """Make the schema of a union: the place of the variant, then its fields."""

    def write(out: bytearray, value: Any) -> None:
        for index, variant in enumerate(variants):
            if variant.matches(value):
                out.append(index)
                variant.write(out, value)
                return
        raise TypeError(f"{shown(value)} is none of {names}")

    def read(reader: Reader) -> Any:
        return variants[reader.choice(len(variants), f"variant of {names}")].read(reader)

    least = 1 + min(variant.least for variant in variants)
    return Schema(write, read, least, lambda value: any(v.matches(value) for v in variants))


def enum_of_members(kind: type[enum.Enum]) -> Schema:
    """Make the schema of an enumeration: the place of the member."""
    members = list(kind)
    places = {member: index for index, member in enumerate(members)}

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, kind):
            raise TypeError(f"{shown(value)} is no {kind.__name__}")
        out.append(places[value])

    def read(reader: Reader) -> enum.Enum:
        return members[reader.choice(len(members), f"member of {kind.__name__}")]

    return Schema(write, read, 1, lambda value: isinstance(value, kind))
