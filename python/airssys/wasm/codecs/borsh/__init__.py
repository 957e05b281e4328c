"""Borsh, driven by types: what a dataclass declares is what the bytes hold.

The bytes of Borsh do not say what they are, so both sides need the type. What a type is written as:

| annotation | Borsh |
| --- | --- |
| `u8` … `u128`, `i8` … `i128` | integer, little-endian |
| `f32`, `f64`, `float` | IEEE 754, never NaN |
| `bool`, `str`, `bytes` | `bool`, `String`, `Vec<u8>` |
| `list[T]`, `set[T]`, `frozenset[T]`, `dict[K, V]` | `Vec<T>`, set, map in the order of keys |
| `Annotated[bytes, Length(32)]`, `Annotated[list[T], Length(3)]` | `[u8; 32]`, `[T; 3]` |
| `tuple[A, B]`, `tuple[()]` or `None` | tuple, unit |
| a dataclass | struct, fields in order |
| `T | None` | `Option<T>` |
| `A | B`, both dataclasses; an `enum.Enum` | enum, variants in order |
"""

from __future__ import annotations

from airssys.wasm.codecs.borsh.codec import BorshCodec
from airssys.wasm.codecs.borsh.scalars import (
    Length,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
    i128,
    u8,
    u16,
    u32,
    u64,
    u128,
)

__all__ = [
    "BorshCodec",
    "Length",
    "f32",
    "f64",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
]
