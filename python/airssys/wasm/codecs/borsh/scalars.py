"""Types of one value: integers, floats, truth values, texts, bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from airssys.wasm.codecs.borsh.schema import Schema

if TYPE_CHECKING:
    from airssys.wasm.codecs.borsh.reader import Reader

__all__ = [
    "Length",
    "boolean",
    "byte_string",
    "f32",
    "f64",
    "float_schema",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "integer_schema",
    "shown",
    "text",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "unit",
    "write_length",
]


@dataclass(frozen=True, slots=True)
class Integer:
    """Marks an `int` that has so many bytes."""

    size: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Float:
    """Marks a `float` that has so many bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Length:
    """Marks `bytes` or a `list` that always has so many items; the length is not written."""

    items: int

    def __post_init__(self) -> None:
        if self.items < 0:
            raise ValueError(f"a length is not negative: {self.items}")


u8 = Annotated[int, Integer(1, signed=False)]
u16 = Annotated[int, Integer(2, signed=False)]
u32 = Annotated[int, Integer(4, signed=False)]
u64 = Annotated[int, Integer(8, signed=False)]
u128 = Annotated[int, Integer(16, signed=False)]
i8 = Annotated[int, Integer(1, signed=True)]
i16 = Annotated[int, Integer(2, signed=True)]
i32 = Annotated[int, Integer(4, signed=True)]
i64 = Annotated[int, Integer(8, signed=True)]
i128 = Annotated[int, Integer(16, signed=True)]
f32 = Annotated[float, Float(4)]
f64 = Annotated[float, Float(8)]


def shown(value: object) -> str:
    """Name a value that does not fit, in few words however large it is."""
    return f"a value of type {value.__class__.__name__}"


def is_integer(value: object) -> bool:
    """Tell whether a value is an integer and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def integer_schema(mark: Integer) -> Schema:
    """Make the schema of an integer."""
    name = f"{'i' if mark.signed else 'u'}{mark.size * 8}"

    def write(out: bytearray, value: Any) -> None:
        if not is_integer(value):
            raise TypeError(f"{shown(value)} is no {name}")
        try:
            out += value.to_bytes(mark.size, "little", signed=mark.signed)
        except OverflowError:
            raise ValueError(f"an integer of {value.bit_length()} bits is no {name}") from None

    def read(reader: Reader) -> int:
        return int.from_bytes(reader.take(mark.size), "little", signed=mark.signed)

    return Schema(write, read, mark.size, is_integer)


def float_schema(mark: Float) -> Schema:
    """Make the schema of a floating-point number; NaN has no place in Borsh."""
    layout = struct.Struct("<f" if mark.size == 4 else "<d")

    def write(out: bytearray, value: Any) -> None:
        if not (isinstance(value, float) or is_integer(value)):
            raise TypeError(f"{shown(value)} is no f{mark.size * 8}")
        if value != value:  # noqa: PLR0124 - what NaN is
            raise ValueError("NaN has no Borsh encoding")
        out += layout.pack(value)

    def read(reader: Reader) -> float:
        at = reader.position
        (value,) = layout.unpack(reader.take(mark.size))
        if value != value:  # noqa: PLR0124 - what NaN is
            raise ValueError(f"byte {at}: NaN has no Borsh encoding")
        return float(value)

    return Schema(write, read, mark.size, lambda value: isinstance(value, float))


def write_length(out: bytearray, value: Any) -> None:
    """Append the length of something."""
    if len(value) >= 1 << 32:
        raise ValueError(f"{len(value)} items are more than Borsh can count")
    out += len(value).to_bytes(4, "little")


def boolean() -> Schema:
    """Make the schema of a truth value."""

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"{shown(value)} is no bool")
        out.append(value)

    def read(reader: Reader) -> bool:
        return reader.choice(2, "bool") == 1

    return Schema(write, read, 1, lambda value: isinstance(value, bool))


def text() -> Schema:
    """Make the schema of a text."""

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, str):
            raise TypeError(f"{shown(value)} is no str")
        try:
            encoded = value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"the text is no UTF-8: {error.reason}") from None
        write_length(out, encoded)
        out += encoded

    def read(reader: Reader) -> str:
        at = reader.position
        try:
            return reader.take(reader.length(1)).decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"byte {at}: the text is no UTF-8: {error.reason}") from None

    return Schema(write, read, 4, lambda value: isinstance(value, str))


def byte_string(length: Length | None) -> Schema:
    """Make the schema of bytes, of any number or of a fixed one."""

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"{shown(value)} is no bytes")
        raw = bytes(value)
        if length is None:
            write_length(out, raw)
        elif len(raw) != length.items:
            raise ValueError(f"{length.items} bytes expected, {len(raw)} given")
        out += raw

    def read(reader: Reader) -> bytes:
        return reader.take(reader.length(1) if length is None else length.items)

    least = 4 if length is None else length.items
    return Schema(write, read, least, lambda value: isinstance(value, bytes | bytearray))


def unit() -> Schema:
    """Make the schema of nothing, which takes no byte."""

    def write(out: bytearray, value: Any) -> None:  # noqa: ARG001
        if value is not None:
            raise TypeError(f"{shown(value)} is no None")

    return Schema(write, lambda _: None, 0, lambda value: value is None)
