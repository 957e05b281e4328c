"""Values of every type reach a guest behind a server, and come back, as they do in process."""

from __future__ import annotations

import array
import dataclasses
import math
from collections import namedtuple

import pytest

from airssys.wasm import Engine, GuestError, Host, Some
from airssys.wasm.remote.values import MalformedValues, ValueStays, pack, unpack

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def echo(shared, guest):
    with Host.connect_blocking(shared.address) as host:
        yield host.deploy(guest("echo"), name="demo/echo", lifetime="pooled")


@pytest.fixture(scope="module")
def here(guest):
    component = Engine().load(guest("echo"))
    return component, component.instantiate()


PLAIN = [
    ("scalars#echo-bool", True),
    ("scalars#echo-s8", -128),
    ("scalars#echo-u64", 2**64 - 1),
    ("scalars#echo-s64", -(2**63)),
    ("scalars#echo-f32", 1.5),
    ("scalars#echo-f64", 5e-324),
    ("scalars#echo-f64", -0.0),
    ("scalars#echo-f64", math.inf),
    ("scalars#echo-char", "\U0001f980"),
    ("scalars#echo-string", "a\0b\u00e9"),
    ("lists#echo-bytes", bytes(range(256))),
    ("lists#echo-bytes", b""),
    ("lists#echo-bools", [True, False]),
    ("lists#echo-u16s", [0, 65535]),
    ("lists#echo-f64s", [0.1, -0.0]),
    ("lists#echo-chunks", [b"", b"ab"]),
    ("lists#echo-deep", [[["a"], []], []]),
    ("lists#echo-pairs", [(1, "a"), (2, "")]),
    ("lists#echo-optional-items", [None, 7]),
    ("records#echo-pair", (1, "x")),
    ("records#echo-single", (2**63,)),
    ("options#echo-twice", None),
    ("options#echo-twice", Some(None)),
    ("options#echo-twice", Some(5)),
    ("options#echo-thrice", Some(Some("x"))),
    ("options#echo-pair", (None, Some(None))),
]


@pytest.mark.parametrize(("path", "value"), PLAIN, ids=lambda each: str(each)[:30])
def test_plain_values_come_back_as_they_went(echo, path, value):
    found = echo.call(f"demo:echo/{path}", value)
    assert found == value
    assert type(found) is type(value)
    if isinstance(value, float):
        assert math.copysign(1, found) == math.copysign(1, value)


def test_not_a_number_stays_one(echo):
    assert math.isnan(echo.call("demo:echo/scalars#echo-f64", math.nan))


def test_typed_values_are_of_the_same_classes_as_in_process(echo, here):
    component, instance = here
    point = instance["demo:echo/records#echo-point"]({"x": 1, "y": 2})
    found = echo.call("demo:echo/records#echo-point", point)
    assert found == point
    assert type(found) is type(point)
    shapes = component.types["demo:echo/variants#shape"]
    cases = [each for each in vars(shapes).values() if hasattr(each, "__wit_case__")]
    made = [case() for case in cases if not dataclasses.fields(case)]
    made += instance["demo:echo/variants#echo-shapes"](
        [case(1.0) for case in cases if dataclasses.fields(case) and _takes(instance, case)]
    )
    assert echo.call("demo:echo/variants#echo-shapes", made) == made
    colors = list(component.types["demo:echo/variants#color"])
    found = echo.call("demo:echo/variants#echo-colors", colors)
    assert found == colors
    assert all(one is other for one, other in zip(found, colors, strict=True))
    flags = component.types["demo:echo/variants#flags9"]
    every = ~flags(0)
    assert echo.call("demo:echo/variants#echo-flags9", every) == every
    assert type(echo.call("demo:echo/variants#echo-flags9", [])) is flags


def _takes(instance, case) -> bool:
    try:
        instance["demo:echo/variants#echo-shape"](case(1.0))
    except TypeError:
        return False
    return True


def test_what_stands_for_a_record_in_process_does_so_here(echo):
    @dataclasses.dataclass
    class Mine:
        x: int
        y: int

    class Bare:
        def __init__(self):
            self.x, self.y = 1, 2

    pair = namedtuple("pair", "x y")  # noqa: PYI024
    for point in ({"x": 1, "y": 2}, Mine(1, 2), Bare(), pair(1, 2)):
        found = echo.call("demo:echo/records#echo-point", point)
        assert (found.x, found.y) == (1, 2)


def test_buffers_are_lists_of_numbers(echo):
    assert echo.call("demo:echo/lists#echo-bytes", bytearray(b"ab")) == b"ab"
    assert echo.call("demo:echo/lists#echo-bytes", memoryview(b"ab")) == b"ab"
    assert echo.call("demo:echo/lists#echo-f64s", array.array("d", [0.5])) == [0.5]
    assert echo.call("demo:echo/lists#echo-u32s", range(3)) == [0, 1, 2]


def test_a_megabyte_crosses(echo):
    data = bytes(range(256)) * 4096
    assert echo.call("demo:echo/lists#echo-bytes", data) == data


def test_errors_of_results_carry_their_value(echo):
    with pytest.raises(GuestError) as refused:
        echo.call("demo:echo/records#check-order", _order())
    assert isinstance(refused.value.value, str)


def _order():
    return {"id": 1, "name": "", "amount": -1.0}


def test_what_lives_in_its_process_stays_there(echo):
    with pytest.raises(ValueStays, match="cannot leave its process"):
        echo.call("demo:echo/scalars#echo-u32", object())


def test_foreign_bytes_are_refused():
    for wrong in (b"", b"\xc1", pack(1)[:-1], b"\x92\x90\xd4\x63\x00", b"\x92\x91\xa1a\x01"):
        with pytest.raises(MalformedValues, match="no packed values"):
            unpack(wrong)
    deep = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ValueStays):
        pack(deep)
    with pytest.raises(MalformedValues):
        unpack(b"\x92\x90" + b"\x91" * 100_000 + b"\x01")
