"""Borsh against what the reference implementation, the Rust crate `borsh` 1, writes."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from airssys.wasm import codecs
from airssys.wasm.codecs import PayloadUndecodable, ValueUnencodable
from airssys.wasm.codecs.borsh import Length, f32, i8, i16, i32, i128, u8, u16, u32, u64, u128

PREFIX = bytes.fromhex("810e")


@dataclass
class Example:
    """The example of the specification."""

    x: u64
    y: str


@dataclass(frozen=True)
class Point:
    x: i32
    y: i32


@dataclass
class Circle:
    r: float


@dataclass
class Rectangle:
    first: Point
    second: Point


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"
    BLUE = "blue"


@dataclass
class Node:
    value: u8
    children: list[Node]


@dataclass
class Everything:
    a: u128
    b: i128
    c: i8
    d: u16
    e: f32
    f: bool
    g: u32 | None
    h: u32 | None
    i: Annotated[bytes, Length(4)]
    j: Annotated[list[u16], Length(2)]
    k: tuple[u8, str]
    l: None  # noqa: E741 - a field of the vector


EVERYTHING = Everything(
    (1 << 128) - 2, -2, -128, 65534, 0.1, True, None, 7, b"abcd", [1, 515], (9, "ü€😀"), None
)
TREE = Node(1, [Node(2, []), Node(3, [Node(4, [])])])
RECTANGLE = Rectangle(Point(1, -1), Point(2**31 - 1, -(2**31)))
VECTORS = [
    (Example, Example(3301, "liber primus"), "e50c0000000000000c0000006c69626572207072696d7573"),
    (Circle | Rectangle, Circle(1.5), "00000000000000f83f"),
    (Circle | Rectangle, RECTANGLE, "0101000000ffffffffffffff7f00000080"),
    (Color, Color.BLUE, "02"),
    (Node, TREE, "0102000000020000000003010000000400000000"),
    (
        dict[str, u32],
        {"b": 1, "😀": 5, "a": 2, "ü": 4, "ab": 3},
        (
            "050000000100000061020000000200000061620300000001000000620100000002000000c3bc0400000"
            "004000000f09f988005000000"
        ),
    ),
    (set[i16], {5, -1, 300, -300, 0}, "05000000d4feffff000005002c01"),
    (frozenset[i16], frozenset({5, -1, 300, -300, 0}), "05000000d4feffff000005002c01"),
    (list[u64], [], "00000000"),
    (list[str], ["x", ""], "02000000010000007800000000"),
    (bytes, b"\x00\xff\x01", "0300000000ff01"),
    (
        list[float],
        [0.0, -0.0, float("inf"), 2.2250738585072014e-308],
        "0400000000000000000000000000000000000080000000000000f07f0000000000001000",
    ),
    (None, None, ""),
    (tuple[()], (), ""),
]


@pytest.mark.parametrize(("kind", "value", "expected"), VECTORS, ids=str)
def test_writes_and_reads_what_the_reference_does(kind: Any, value: object, expected: str) -> None:
    assert codecs.encode(value, "borsh", type=kind or type(None)) == PREFIX + bytes.fromhex(
        expected
    )
    assert codecs.decode(PREFIX + bytes.fromhex(expected), kind or type(None)) == value


def test_a_struct_of_every_scalar_is_as_the_reference_writes_it() -> None:
    expected = bytes.fromhex(
        "fefffffffffffffffffffffffffffffffeffffffffffffffffffffffffffffff80feffcdcccc3d0100010700"
        "000061626364010003020909000000c3bce282acf09f9880"
    )
    payload = codecs.encode(EVERYTHING, "borsh")
    assert payload == PREFIX + expected
    back = codecs.decode(payload, Everything)
    assert back.e == pytest.approx(0.1, rel=1e-6)
    back.e = 0.1
    assert back == EVERYTHING


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (u8, 256, "no u8"),
        (u8, -1, "no u8"),
        (u8, True, "no u8"),
        (u8, "1", "type str is no u8"),
        (f32, 1e300, "too large"),
        (float, float("nan"), "NaN"),
        (str, "\ud800", "UTF-8"),
        (bool, 1, "no bool"),
        (Annotated[bytes, Length(2)], b"abc", "2 bytes expected, 3 given"),
        (Annotated[list[u8], Length(2)], [1], "2 items expected, 1 given"),
        (tuple[u8, u8], (1,), "tuple of 2"),
        (Point, Point(1, 2**40), "Point.y: an integer of 41 bits is no i32"),
        (Circle | Rectangle, Point(1, 2), "none of Circle | Rectangle"),
        (Color, "red", "no Color"),
        (set[u8], {1: 1}, "no set"),
        (None, 1, "no None"),
        (int, 1, "annotate it as u32"),
        (list[None], [None], "no byte"),
        (u8 | str, 1, "union of dataclasses"),
        (tuple[u8, ...], (1,), "take a list"),
        (complex, 1j, "has no Borsh encoding"),
    ],
)
def test_what_has_no_encoding_is_refused(kind: Any, value: object, reason: str) -> None:
    with pytest.raises(ValueUnencodable, match="borsh cannot hold") as caught:
        codecs.encode(value, "borsh", type=kind or type(None))
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (u32, "010203", "4 bytes expected, 3 are left"),
        (u8, "0102", "1 bytes follow"),
        (bool, "02", "no bool"),
        (u8 | None, "0201", "no option"),
        (Color, "03", "no member of Color"),
        (Circle | Rectangle, "02", "no variant"),
        (str, "01000000ff", "no UTF-8"),
        (str, "ffffffff61", "a length of 4294967295, with 1 bytes left"),
        (list[u64], "ffffffff" + "00" * 64, "a length of 4294967295"),
        (list[Circle], "ffffff7f" + "00" * 64, "a length of 2147483647"),
        (dict[u8, u8], "0200000002000100", "not in order"),
        (dict[u8, u8], "0200000001000100", "repeat"),
        (set[u8], "020000000101", "repeat"),
        (float, "000000000000f87f", "NaN"),
    ],
)
def test_bytes_that_are_none_of_the_type_are_refused(kind: Any, body: str, reason: str) -> None:
    with pytest.raises(PayloadUndecodable, match="no valid borsh") as caught:
        codecs.decode(PREFIX + bytes.fromhex(body), kind)
    assert reason in caught.value.reason


def test_nesting_is_bounded() -> None:
    deep = bytes.fromhex("0101000000") * 100_000
    with pytest.raises(PayloadUndecodable, match="nested more than 128 levels"):
        codecs.decode(PREFIX + deep, Node)
    value = Node(0, [])
    for _ in range(100_000):
        value = Node(0, [value])
    with pytest.raises(ValueUnencodable, match="nested too deeply"):
        codecs.encode(value, "borsh")
    while value.children:  # taken apart one by one: Python frees a chain this long by recursion
        value = value.children.pop()


def test_a_type_is_needed_where_the_value_has_none() -> None:
    with pytest.raises(ValueUnencodable, match="pass type="):
        codecs.encode(5, "borsh")
    with pytest.raises(PayloadUndecodable, match="pass the type"):
        codecs.decode(PREFIX + b"\x05")
