"""Payloads: prefixes, the registry, the codecs of others within bounds, and negotiation."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from dataclasses import dataclass
from typing import Any

import cbor2
import msgspec
import pytest

from airssys.wasm import codecs
from airssys.wasm.codecs import (
    CodecConflict,
    CodecMismatch,
    PayloadTooLarge,
    PayloadUndecodable,
    Registry,
    UnknownCodec,
    ValueUnencodable,
    negotiate,
    read_prefix,
    write_prefix,
)

SELF_DESCRIBING = ["cbor", "json", "messagepack"]


class Size(enum.Enum):
    SMALL = "small"


@dataclass
class Order:
    number: int
    size: Size
    tags: list[str]
    note: str | None = None


class Tree(msgspec.Struct):
    children: list[Tree] = []


@pytest.mark.parametrize(
    ("codec", "prefix"),
    [
        ("raw", "55"),
        ("cbor", "51"),
        ("json", "8004"),
        ("messagepack", "8104"),
        ("borsh", "810e"),
    ],
)
def test_every_payload_begins_with_its_codec(codec: str, prefix: str) -> None:
    payload = codecs.encode(b"x" if codec == "raw" else Size.SMALL, codec)
    assert payload.startswith(bytes.fromhex(prefix))
    assert codecs.codec_of(payload).name == codec


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "00"), (0x7F, "7f"), (0x80, "8001"), (0x0200, "8004"), ((1 << 63) - 1, "ff" * 8 + "7f")],
)
def test_prefixes_are_minimal_varints(number: int, written: str) -> None:
    assert write_prefix(number).hex() == written
    assert read_prefix(bytes.fromhex(written) + b"rest") == (number, len(written) // 2)


@pytest.mark.parametrize("broken", ["", "80", "ff" * 9 + "01", "8000", "ff00"])
def test_what_is_no_prefix_is_none(broken: str) -> None:
    assert read_prefix(bytes.fromhex(broken)) is None
    with pytest.raises(UnknownCodec, match="does not begin with a codec's prefix") as caught:
        codecs.decode(bytes.fromhex(broken))
    assert caught.value.wanted is None
    assert caught.value.known == ("cbor", "json", "messagepack", "borsh", "raw")


def test_a_prefix_outside_the_range_is_refused() -> None:
    for number in (-1, 1 << 63):
        with pytest.raises(ValueError, match="not in 0"):
            write_prefix(number)


@pytest.mark.parametrize("codec", SELF_DESCRIBING)
def test_a_type_gives_back_what_was_sent(codec: str) -> None:
    order = Order(7, Size.SMALL, ["a", "ü"], None)
    payload = codecs.encode(order, codec)
    assert codecs.decode(payload, Order) == order
    untyped = {"number": 7, "size": "small", "tags": ["a", "ü"], "note": None}
    assert codecs.decode(payload) == untyped
    moment = dt.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=dt.UTC)
    identity = uuid.UUID(int=5)
    for value, kind in [(moment, dt.datetime), (identity, uuid.UUID), ({1, 2}, set[int])]:
        assert codecs.decode(codecs.encode(value, codec), kind) == value
    assert codecs.decode(codecs.encode(b"\xff\x00", codec), bytes) == b"\xff\x00"


@pytest.mark.parametrize("codec", SELF_DESCRIBING)
def test_a_value_of_another_type_says_where(codec: str) -> None:
    payload = codecs.encode({"number": "x", "size": "small", "tags": []}, codec)
    with pytest.raises(PayloadUndecodable, match=r"of Order: Expected `int`, got `str`.*number"):
        codecs.decode(payload, Order)


@pytest.mark.parametrize("codec", [*SELF_DESCRIBING, "raw"])
def test_what_a_codec_cannot_hold_is_refused(codec: str) -> None:
    with pytest.raises(ValueUnencodable, match=f"{codec} cannot hold this object") as caught:
        codecs.encode(object(), codec)
    assert caught.value.codec == codec


@pytest.mark.parametrize("codec", SELF_DESCRIBING)
def test_a_cycle_is_refused(codec: str) -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(ValueUnencodable, match="nested too deeply"):
        codecs.encode(cycle, codec)


@pytest.mark.parametrize(
    ("codec", "body"),
    [
        ("cbor", "81" * 100_000 + "00"),
        ("cbor", "a100" * 100_000 + "00"),
        ("cbor", "c2" * 100_000 + "00"),
        ("cbor", "9bffffffffffffffff"),
        ("cbor", "bb000000ffffffffff"),
        ("cbor", "5b0000000fffffffff"),
        ("cbor", "7bffffffffffffffff61"),
        ("cbor", "d81c81d81d00"),  # a list that holds itself
        ("cbor", "d823" + "64285b61"),  # a pattern to compile
        ("cbor", "c4821b7fffffffffffffff01"),  # a fraction of 2^63 digits
        ("cbor", "d9010082" + "6568656c6c6f" + "d81900"),  # a reference to a text
        ("cbor", "d9fff000"),  # a tag nobody knows
        ("cbor", "a2616100616101"),  # a key twice
        ("cbor", "0000"),  # two values
        ("cbor", "62ffff"),  # no UTF-8
        ("cbor", ""),
        ("cbor", "ff"),
        ("json", "5b" * 100_000),
        ("json", b'{"a": 1} {'.hex()),
        ("json", b'"\xff"'.hex()),
        ("json", ""),
        ("messagepack", "91" * 100_000),
        ("messagepack", "ddffffffff"),
        ("messagepack", "dfffffffff"),
        ("messagepack", "c6ffffffff"),
        ("messagepack", "0000"),
    ],
)
def test_hostile_bytes_end_in_an_error(codec: str, body: str) -> None:
    payload = write_prefix(codecs.PREFIXES[codec]) + bytes.fromhex(body)
    with pytest.raises(PayloadUndecodable, match=f"no valid {codec}") as caught:
        codecs.decode(payload)
    assert caught.value.codec == codec
    assert len(str(caught.value)) < 500
    with pytest.raises(PayloadUndecodable):
        codecs.decode(payload, Tree)


def test_a_chain_of_lists_within_the_depth_is_read() -> None:
    assert codecs.decode(b"\x51" + b"\x81" * 100 + b"\x80") is not None
    with pytest.raises(PayloadUndecodable, match="depth"):
        codecs.decode(b"\x51" + b"\x81" * 200 + b"\x80")


def test_crafted_keys_are_read_only_where_they_are_few() -> None:
    colliding = {key * ((1 << 61) - 1): 0 for key in range(2, 100)}
    assert codecs.decode(b"\x51" + cbor2.dumps(colliding)) == colliding
    many = {key * ((1 << 61) - 1): 0 for key in range(2, 4000)}
    with pytest.raises(PayloadUndecodable):
        codecs.decode(b"\x51" + cbor2.dumps(many))
    texts = {str(key): 0 for key in range(4000)}
    assert codecs.decode(codecs.encode(texts)) == texts


def test_tags_of_dates_numbers_and_sets_are_read() -> None:
    moment = dt.datetime(2024, 5, 6, tzinfo=dt.UTC)
    for value in (moment, dt.date(2024, 5, 6), 1 << 100, -(1 << 100), uuid.UUID(int=1), {1, 2}):
        assert codecs.decode(b"\x51" + cbor2.dumps(value)) == value


def test_sizes_are_bounded_on_both_ways() -> None:
    fits = codecs.encode(b"x" * 99, "raw", limit=100)
    with pytest.raises(PayloadTooLarge, match="has 101 bytes, a message at most 100") as caught:
        codecs.encode(b"x" * 100, "raw", limit=100)
    assert (caught.value.size, caught.value.most) == (101, 100)
    with pytest.raises(PayloadTooLarge):
        codecs.decode(fits, limit=99)
    large = codecs.encode(b"x" * (1 << 20), "raw", limit=None)
    with pytest.raises(PayloadTooLarge):
        codecs.decode(large)
    assert len(codecs.decode(large, limit=None)) == 1 << 20


def test_raw_is_bytes_and_nothing_else() -> None:
    assert codecs.decode(codecs.encode(memoryview(b"ab"), "raw"), bytes) == b"ab"
    with pytest.raises(ValueUnencodable, match="encode it with cbor"):
        codecs.encode("ab", "raw")
    with pytest.raises(PayloadUndecodable):
        codecs.decode(b"\x55ab", str)


def test_an_unknown_name_or_prefix_says_what_there_is() -> None:
    with pytest.raises(UnknownCodec, match="did you mean 'json'") as named:
        codecs.encode(1, "jsno")
    assert named.value.wanted == "jsno"
    with pytest.raises(
        UnknownCodec, match=r"prefix 0x50 \(protobuf\); there are cbor, json"
    ) as met:
        codecs.decode(b"\x50\x08\x01")
    assert met.value.wanted == 0x50


class Reversed:
    """A codec of an application: text from its end."""

    def __init__(self, name: str = "reversed", prefix: int = 0x300001) -> None:
        self.name = name
        self.prefix = prefix

    def encode(self, value: object, type: Any) -> bytes:  # noqa: A002
        return str(value)[::-1].encode()

    def decode(self, body: bytes, type: Any) -> Any:  # noqa: A002
        return body.decode()[::-1]


def test_a_codec_of_ones_own_is_one_among_the_others() -> None:
    registry = Registry()
    registry.register(Reversed())
    payload = registry.encode("abc", "reversed")
    assert payload == b"\x81\x80\xc0\x01" + b"cba"
    assert registry.decode(payload) == "abc"
    assert registry.codec_of(payload).name == "reversed"
    with pytest.raises(PayloadUndecodable, match="no valid reversed"):
        registry.decode(payload + b"\xff")
    with pytest.raises(UnknownCodec):
        codecs.decode(payload)


@pytest.mark.parametrize(
    ("name", "prefix", "other"),
    [
        ("json", 0x300001, "'json'"),
        ("mine", 0x51, "'cbor'"),
        ("mine", 0x50, "'protobuf'"),
        ("protobuf", 0x300001, "0x50 everywhere"),
    ],
)
def test_a_name_and_a_prefix_have_one_codec(name: str, prefix: int, other: str) -> None:
    with pytest.raises(CodecConflict, match=other):
        Registry().register(Reversed(name, prefix))


def test_negotiation_takes_the_senders_favourite_or_shows_both_lists() -> None:
    assert negotiate(["cbor", "json"], ["json", "cbor"]) == "cbor"
    assert negotiate(["borsh", "json"], ["json", "cbor"]) == "json"
    with pytest.raises(
        CodecMismatch, match="accepts json, raw and the sender offers cbor"
    ) as caught:
        negotiate(["cbor"], ["json", "raw"])
    assert caught.value.offered == ("cbor",)
    assert caught.value.accepted == ("json", "raw")
    with pytest.raises(CodecMismatch, match="accepts none"):
        negotiate(["cbor"], [])
