"""Any value comes back as it was sent; any bytes end in a value or in one of two errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from hypothesis import given
from hypothesis import strategies as st

from airssys.wasm import codecs
from airssys.wasm.codecs import PayloadUndecodable, UnknownCodec
from airssys.wasm.codecs.borsh import Length, i64, u8, u32

texts = st.text()  # without surrogates, by default of hypothesis' codec
floats = st.floats(allow_nan=False)
SMALL = st.integers(-(1 << 63), (1 << 64) - 1)


def nested(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=20,
    )


@given(nested(st.none() | st.booleans() | st.integers() | floats | texts | st.binary()))
def test_cbor_gives_back_any_value(value: Any) -> None:
    assert codecs.decode(codecs.encode(value, "cbor")) == value


@given(nested(st.none() | st.booleans() | SMALL | floats | texts | st.binary()))
def test_messagepack_gives_back_any_value(value: Any) -> None:
    assert codecs.decode(codecs.encode(value, "messagepack")) == value


@given(
    nested(
        st.none() | st.booleans() | SMALL | st.floats(allow_nan=False, allow_infinity=False) | texts
    )
)
def test_json_gives_back_any_value(value: Any) -> None:
    assert codecs.decode(codecs.encode(value, "json")) == value


@given(st.binary())
def test_raw_gives_back_any_bytes(value: bytes) -> None:
    assert codecs.decode(codecs.encode(value, "raw")) == value


@dataclass(frozen=True, order=True)
class Leaf:
    key: Annotated[bytes, Length(3)]
    weight: float


@dataclass
class Branch:
    name: str
    counts: dict[u32, i64]
    flags: set[bool]
    pair: tuple[u8, str] | None
    children: list[Branch | Leaf]


leaves = st.builds(Leaf, st.binary(min_size=3, max_size=3), floats)
branches = st.recursive(
    leaves,
    lambda inner: st.builds(
        Branch,
        texts,
        st.dictionaries(st.integers(0, (1 << 32) - 1), st.integers(-(1 << 63), (1 << 63) - 1)),
        st.sets(st.booleans()),
        st.none() | st.tuples(st.integers(0, 255), texts),
        st.lists(inner, max_size=3),
    ),
    max_leaves=10,
)


@given(branches)
def test_borsh_gives_back_any_value_and_writes_it_in_one_way(value: Branch | Leaf) -> None:
    payload = codecs.encode(value, "borsh", type=Branch | Leaf)
    assert codecs.decode(payload, Branch | Leaf) == value
    assert (
        codecs.encode(codecs.decode(payload, Branch | Leaf), "borsh", type=Branch | Leaf) == payload
    )


@given(st.binary())
def test_borsh_reads_only_what_it_would_write(body: bytes) -> None:
    payload = b"\x81\x0e" + body
    try:
        value = codecs.decode(payload, Branch | Leaf)
    except PayloadUndecodable:
        return
    assert codecs.encode(value, "borsh", type=Branch | Leaf) == payload


@given(
    st.sampled_from([b"", b"\x51", b"\x80\x04", b"\x81\x04", b"\x81\x0e", b"\x55"]),
    st.binary(max_size=200),
    st.sampled_from([None, int, list[str], dict[str, Any], Leaf]),
)
def test_any_bytes_end_in_a_value_or_a_typed_error(prefix: bytes, body: bytes, kind: Any) -> None:
    try:
        codecs.decode(prefix + body, kind)
    except (PayloadUndecodable, UnknownCodec) as error:
        assert error.message  # noqa: PT017 - the other outcome is a value


@given(st.integers(0, (1 << 63) - 1), st.binary())
def test_any_prefix_is_read_as_written(number: int, rest: bytes) -> None:
    written = codecs.write_prefix(number)
    assert codecs.read_prefix(written + rest) == (number, len(written))
    assert len(written) == max(1, math.ceil(number.bit_length() / 7))
