"""Every WIT type through a real guest and back, and what is refused on the way."""

from __future__ import annotations

import array
import asyncio
import copy
import enum
import math
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airssys.wasm import Engine, Err, GuestError, Ok, Some, WitError

settings.register_profile("values", deadline=None, max_examples=60)
settings.load_profile("values")

GUESTS = Path(__file__).parents[3] / "build" / "components"
PACKAGE = "demo:echo/"


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low = -(1 << bits - 1) if signed else 0
    return st.integers(low, low + (1 << bits) - 1)


S8, S16, S32, S64 = (integers(bits, signed=True) for bits in (8, 16, 32, 64))
U8, U16, U32, U64 = (integers(bits, signed=False) for bits in (8, 16, 32, 64))
F32 = st.floats(width=32, allow_nan=False)
F64 = st.floats(allow_nan=False)
CHAR = st.characters(exclude_categories=["Cs"])
STRING = st.text(CHAR)
BYTES = st.binary()


def optional(value: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | value


def wrapped(value: st.SearchStrategy) -> st.SearchStrategy:
    """An option whose value is an option itself."""
    return st.none() | value.map(Some)


def result(ok: st.SearchStrategy, err: st.SearchStrategy) -> st.SearchStrategy:
    return ok.map(Ok) | err.map(Err)


NONE = st.none()

PLAIN = {
    "scalars#echo-bool": st.booleans(),
    "scalars#echo-s8": S8,
    "scalars#echo-u8": U8,
    "scalars#echo-s16": S16,
    "scalars#echo-u16": U16,
    "scalars#echo-s32": S32,
    "scalars#echo-u32": U32,
    "scalars#echo-s64": S64,
    "scalars#echo-u64": U64,
    "scalars#echo-f32": F32,
    "scalars#echo-f64": F64,
    "scalars#echo-char": CHAR,
    "scalars#echo-string": STRING,
    "lists#echo-bytes": BYTES,
    "lists#echo-bools": st.lists(st.booleans()),
    "lists#echo-s8s": st.lists(S8),
    "lists#echo-s16s": st.lists(S16),
    "lists#echo-u16s": st.lists(U16),
    "lists#echo-s32s": st.lists(S32),
    "lists#echo-u32s": st.lists(U32),
    "lists#echo-s64s": st.lists(S64),
    "lists#echo-u64s": st.lists(U64),
    "lists#echo-f32s": st.lists(F32),
    "lists#echo-f64s": st.lists(F64),
    "lists#echo-chars": st.lists(CHAR),
    "lists#echo-strings": st.lists(STRING),
    "lists#echo-chunks": st.lists(BYTES),
    "lists#echo-matrix": st.lists(st.lists(U32)),
    "lists#echo-deep": st.lists(st.lists(st.lists(STRING, max_size=3), max_size=3), max_size=3),
    "lists#echo-pairs": st.lists(st.tuples(U8, STRING)),
    "lists#echo-optional-items": st.lists(optional(U16)),
    "records#echo-pair": st.tuples(U8, STRING),
    "records#echo-single": st.tuples(U64),
    "options#echo-u32": optional(U32),
    "options#echo-bool": optional(st.booleans()),
    "options#echo-string": optional(STRING),
    "options#echo-bytes": optional(BYTES),
    "options#echo-twice": wrapped(optional(U32)),
    "options#echo-thrice": wrapped(wrapped(optional(STRING))),
    "options#echo-pair": optional(st.tuples(optional(U8), wrapped(optional(U8)))),
    "options#echo-strings": optional(st.lists(optional(STRING))),
    "results#echo-in-option": optional(result(U8, STRING)),
    "results#echo-in-list": st.lists(result(U32, STRING)),
    "results#echo-in-tuple": st.tuples(
        result(NONE, NONE), result(U64, NONE), result(NONE, st.booleans())
    ),
}

RESULTS = {
    "results#echo-empty": result(NONE, NONE),
    "results#echo-ok": result(U32, NONE),
    "results#echo-err": result(NONE, STRING),
    "results#echo-both": result(U32, STRING),
    "results#echo-bytes": result(BYTES, U8),
    "results#echo-nested": result(result(U32, STRING), result(NONE, U8)),
    "results#echo-of-option": result(optional(U8), optional(STRING)),
}


def same(left: object, right: object) -> bool:
    """Equal, of the same type all the way down, zeros with their sign."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack("<d", left) == struct.pack("<d", right)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


@pytest.fixture(scope="session")
def call(echo):
    return lambda path, *arguments: echo[PACKAGE + path](*arguments)


@pytest.fixture(scope="session")
def types(echo_component):
    return SimpleNamespace(
        **{
            path.split("#")[1]: cls
            for path, cls in echo_component.types.items()
            if path.startswith(PACKAGE)
        }
    )


@pytest.fixture(scope="session")
def generated(types):
    """Values of the generated classes, by function."""
    point = st.builds(types.point, x=S32, y=S32)
    address = st.builds(types.address, street=STRING, number=U16, location=point)
    person = st.builds(
        types.person,
        name=STRING,
        age=U8,
        tags=st.lists(STRING, max_size=3),
        photo=optional(BYTES),
        home=address,
        others=st.lists(address, max_size=2),
    )
    wide = st.builds(
        types.wide,
        a=U8,
        b=U64,
        c=st.booleans(),
        d=F32,
        e=U16,
        f=F64,
        g=S8,
        h=STRING,
        i=CHAR,
        j=S64,
        k=U8,
        l=BYTES,
        m=U32,
        n=optional(U8),
        o=U8,
        p=optional(U64),
        q=st.tuples(U8, U64, U8),
    )
    color = st.sampled_from(list(types.color))
    shape = st.one_of(
        st.just(types.shape.Empty()),
        st.builds(types.shape.Circle, F32),
        st.builds(types.shape.Rectangle, st.tuples(F32, F32)),
        st.builds(types.shape.Bitmap, BYTES),
        st.builds(types.shape.Labelled, STRING),
        st.builds(types.shape.DrawnBy, person),
        st.builds(types.shape.Maybe, optional(point)),
        st.builds(types.shape.Outcome, result(U32, STRING)),
        st.builds(types.shape.Colored, color),
        st.builds(types.shape.Big, U64),
    )

    def flags(cls: type[enum.Flag], count: int) -> st.SearchStrategy:
        return st.integers(0, (1 << count) - 1).map(cls)

    return {
        "records#echo-point": point,
        "records#echo-person": person,
        "records#echo-people": st.lists(person, max_size=3),
        "records#echo-wide": wide,
        "records#echo-wides": st.lists(wide, max_size=3),
        "records#echo-nested-tuple": st.tuples(st.tuples(U8, BYTES), point, st.tuples(STRING)),
        "variants#echo-color": color,
        "variants#echo-colors": st.lists(color),
        "variants#echo-shape": shape,
        "variants#echo-shapes": st.lists(shape, max_size=4),
        "variants#echo-permission": flags(types.permission, 3),
        "variants#echo-flags8": flags(types.flags8, 8),
        "variants#echo-flags9": flags(types.flags9, 9),
        "variants#echo-flags32": flags(types.flags32, 32),
        "variants#echo-flag-list": st.lists(flags(types.flags9, 9)),
        "options#echo-point": optional(point),
        "options#echo-person": optional(person),
        "options#echo-shape": optional(shape),
    }


GENERATED = [
    "records#echo-point",
    "records#echo-person",
    "records#echo-people",
    "records#echo-wide",
    "records#echo-wides",
    "records#echo-nested-tuple",
    "variants#echo-color",
    "variants#echo-colors",
    "variants#echo-shape",
    "variants#echo-shapes",
    "variants#echo-permission",
    "variants#echo-flags8",
    "variants#echo-flags9",
    "variants#echo-flags32",
    "variants#echo-flag-list",
    "options#echo-point",
    "options#echo-person",
    "options#echo-shape",
]

OTHERS = {
    "scalars#nothing",
    "records#check-order",
    "results#echo-shape",
    "parameters#sixteen",
    "parameters#seventeen",
    "parameters#many",
}


def test_every_function_of_the_guest_is_exercised(echo_component):
    exercised = {*PLAIN, *RESULTS, *GENERATED, *OTHERS}
    assert {PACKAGE + path for path in exercised} == set(echo_component.exports)


@pytest.mark.parametrize("path", PLAIN)
@given(data=st.data())
def test_a_value_comes_back_as_it_went(call, path, data):
    value = data.draw(PLAIN[path])
    assert same(call(path, value), value)


@pytest.mark.parametrize("path", GENERATED)
@given(data=st.data())
def test_a_value_of_a_generated_class_comes_back_as_it_went(call, generated, path, data):
    value = data.draw(generated[path])
    assert same(call(path, value), value)


@pytest.mark.parametrize("path", RESULTS)
@given(data=st.data())
def test_a_result_at_the_top_is_returned_or_raised(call, path, data):
    value = data.draw(RESULTS[path])
    if isinstance(value, Ok):
        assert same(call(path, value), value.value)
    else:
        with pytest.raises(GuestError) as caught:
            call(path, value)
        assert same(caught.value.value, value.value)


@given(data=st.data())
def test_a_result_of_a_variant(call, generated, data):
    shape = data.draw(generated["variants#echo-shape"])
    assert same(call("results#echo-shape", Ok(shape)), shape)
    with pytest.raises(GuestError) as caught:
        call("results#echo-shape", Err(b"no shape"))
    assert caught.value.value == b"no shape"


@given(
    st.tuples(
        U8, U16, U32, U64, S8, S16, S32, S64, F32, F64, st.booleans(), CHAR, U8, U16, U32, U64
    ),
    U8,
)
def test_the_last_flat_parameter_list_and_the_first_in_memory_agree(call, sixteen, last):
    text = call("parameters#sixteen", *sixteen)
    longer = call("parameters#seventeen", *sixteen, last)
    assert str(sixteen[3]) in text
    assert longer.startswith(text.rstrip("]) "))
    assert str(last) in longer


@given(data=st.data())
def test_many_parameters_come_back_through_memory(call, types, data):
    strategies = [
        STRING,
        BYTES,
        st.builds(types.point, x=S32, y=S32),
        optional(STRING),
        st.lists(STRING),
        optional(BYTES),
        U8,
        U64,
        U8,
    ]
    values = tuple(data.draw(strategy) for strategy in strategies)
    assert same(call("parameters#many", *values), values)


def test_nothing_is_none(call):
    assert call("scalars#nothing") is None


@pytest.mark.parametrize("path", ["scalars#echo-f32", "scalars#echo-f64"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0])
def test_floats_at_the_edges(call, path, value):
    assert struct.pack("<d", call(path, value)) == struct.pack("<d", value)


# What else is accepted.


class Countable:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class Readings(Mapping):
    def __init__(self, **items):
        self._items = items

    def __getitem__(self, key):
        return self._items[key]

    def __iter__(self):
        return iter(self._items)

    def __len__(self):
        return len(self._items)


@pytest.mark.parametrize("size", [0, 3, 8191, 8192, 8193, 131_072, 1 << 20])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, list])
def test_bytes_of_any_buffer_and_size(call, kind, size):
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert call("lists#echo-bytes", kind(content)) == content


def test_a_buffer_that_is_not_contiguous(call):
    view = memoryview(bytes(range(100)))[::3]
    assert call("lists#echo-bytes", view) == bytes(range(0, 100, 3))


@pytest.mark.parametrize(
    ("path", "code", "values"),
    [
        ("lists#echo-s8s", "b", [-128, 0, 127]),
        ("lists#echo-u16s", "H", [0, 65535]),
        ("lists#echo-s32s", "i", [-(2**31), 2**31 - 1]),
        ("lists#echo-u64s", "Q", [0, 2**64 - 1]),
        ("lists#echo-f32s", "f", [0.5, -1.5]),
        ("lists#echo-f64s", "d", [0.1, math.inf]),
        # The elements of a buffer of another type are converted one by one.
        ("lists#echo-f64s", "f", [0.5, -1.5]),
        ("lists#echo-u32s", "B", [1, 2]),
    ],
)
def test_numbers_in_a_buffer(call, path, code, values):
    assert call(path, array.array(code, values)) == values


@pytest.mark.parametrize("values", [(1, 2), {1: "a", 2: "b"}.keys(), range(1, 3), iter([1, 2])])
def test_any_iterable_is_a_list(call, values):
    assert call("lists#echo-u32s", values) == [1, 2]


def test_an_object_with_an_index_is_an_integer(call):
    assert call("scalars#echo-u8", Countable(7)) == 7


@pytest.mark.parametrize("make", [dict, Readings, SimpleNamespace])
def test_a_record_is_any_mapping_or_object_with_its_fields(call, types, make):
    assert call("records#echo-point", make(x=1, y=-2)) == types.point(1, -2)


def test_an_enum_is_also_its_name_or_an_enum_with_that_value(call, types):
    class Own(enum.StrEnum):
        BLUE = "dark-blue"

    assert call("variants#echo-color", "dark-blue") is types.color.DARK_BLUE
    assert call("variants#echo-color", Own.BLUE) is types.color.DARK_BLUE


def test_flags_are_also_the_names_of_those_that_are_set(call, types):
    assert call("variants#echo-permission", {"read", "execute"}) == (
        types.permission.READ | types.permission.EXECUTE
    )


def test_arguments_by_name(echo):
    order = echo[PACKAGE + "records#check-order"](order={"id": 1, "name": "a", "amount": 2.0})
    assert (order.id, order.name, order.amount) == (1, "a", 2.0)


# The generated classes.


def test_classes_are_the_same_for_the_same_type(echo_component, types):
    assert echo_component.types[PACKAGE + "records#point"] is types.point
    assert (
        type(echo_component.instantiate()[PACKAGE + "records#echo-point"](types.point(1, 2)))
        is types.point
    )


def test_records_are_frozen_documented_and_matched(types):
    point = types.point(1, 2)
    with pytest.raises(AttributeError):
        point.x = 3
    assert repr(point) == "Point(x=1, y=2)"
    assert types.point.__doc__ == "record point { x: s32, y: s32 }"
    assert types.point.__module__ == "demo:echo/records"
    match point:
        case types.point(x, y):
            assert (x, y) == (1, 2)


def test_variants_are_matched_by_case(types):
    shape = types.shape.Circle(2.0)
    assert isinstance(shape, types.shape)
    match shape:
        case types.shape.Empty():
            pytest.fail("a circle is not empty")
        case types.shape.Circle(radius):
            assert radius == 2.0


@given(data=st.data())
@pytest.mark.parametrize("path", GENERATED)
def test_values_are_copied_and_pickled(generated, path, data):
    value = data.draw(generated[path])
    assert same(pickle.loads(pickle.dumps(value)), value)
    assert same(copy.deepcopy(value), value)


# Async functions, whose results take another way than those of plain ones.


@pytest.fixture(scope="session")
def tasks():
    component = Engine(cache=None).load(GUESTS / "async-echo.wasm")

    async def double(value):
        await asyncio.sleep(0)
        return 2 * value

    async def fetch(key):
        if key == "missing":
            raise WitError("no such key")
        return key.encode() * 1000

    services = {"double": double, "fetch": fetch}
    return component.instantiate(imports={"demo:tasks/services": services})


@given(st.lists(integers(31, signed=False), max_size=20))
def test_async_functions_take_and_give_lists(tasks, values):
    assert tasks["double-all"](values) == [2 * value for value in values]


@pytest.mark.parametrize("key", ["", "k", "key" * 1000])
def test_async_functions_give_bytes(tasks, key):
    assert tasks["fetch"](key) == key.encode() * 1000


def test_an_error_of_an_async_function_passes_through_the_guest(tasks):
    with pytest.raises(GuestError) as caught:
        tasks["fetch"]("missing")
    assert caught.value.value == "no such key"


# What is refused, and where.

POINT = {"x": 1, "y": 2}
HOME = {"street": "s", "number": 1, "location": POINT}
PERSON = {"name": "n", "age": 1, "tags": [], "photo": None, "home": HOME, "others": []}


@pytest.mark.parametrize(
    ("path", "value", "error", "message"),
    [
        ("scalars#echo-u32", -1, ValueError, "argument 'v': expected u32, got -1"),
        ("scalars#echo-u32", 1 << 32, ValueError, "argument 'v': expected u32, got 4294967296"),
        (
            "scalars#echo-s64",
            1 << 63,
            ValueError,
            "argument 'v': expected s64, got 9223372036854775808",
        ),
        (
            "scalars#echo-u64",
            1 << 64,
            ValueError,
            "argument 'v': expected u64, got 18446744073709551616",
        ),
        (
            "scalars#echo-u64",
            -(1 << 70),
            ValueError,
            "argument 'v': expected u64, got -1180591620717411303424",
        ),
        ("scalars#echo-u8", 1.0, TypeError, "argument 'v': expected u8, got 1.0"),
        ("scalars#echo-u8", True, TypeError, "argument 'v': expected u8, got True"),
        ("scalars#echo-u8", "1", TypeError, "argument 'v': expected u8, got '1'"),
        ("scalars#echo-bool", 1, TypeError, "argument 'v': expected bool, got 1"),
        ("scalars#echo-f64", "1", TypeError, "argument 'v': expected f64, got '1'"),
        ("scalars#echo-f64", 10**400, ValueError, "argument 'v': expected f64, got "),
        ("scalars#echo-f32", 1e300, ValueError, "argument 'v': expected f32, got 1e+300"),
        (
            "scalars#echo-char",
            "ab",
            ValueError,
            "argument 'v': expected char, a string of one character, got 'ab'",
        ),
        (
            "scalars#echo-char",
            "\ud800",
            ValueError,
            "argument 'v': expected char without lone surrogates",
        ),
        (
            "scalars#echo-string",
            "a\udfff",
            ValueError,
            "argument 'v': expected string without lone surrogates",
        ),
        ("scalars#echo-string", b"a", TypeError, "argument 'v': expected string, got b'a'"),
        ("lists#echo-bytes", "text", TypeError, "argument 'v': expected list<u8>"),
        ("lists#echo-bytes", [1, 256], ValueError, "argument 'v'[1]: expected u8, got 256"),
        ("lists#echo-u32s", [1, -1], ValueError, "argument 'v'[1]: expected u32, got -1"),
        ("lists#echo-u32s", 5, TypeError, "argument 'v': expected list<u32>, got 5"),
        ("lists#echo-strings", "abc", TypeError, "argument 'v': expected a list, got 'abc'"),
        (
            "lists#echo-matrix",
            [[1], [2, "x"]],
            TypeError,
            "argument 'v'[1][1]: expected u32, got 'x'",
        ),
        (
            "records#echo-pair",
            (1,),
            ValueError,
            "argument 'v': expected a tuple of 2 items, got (1,)",
        ),
        ("records#echo-pair", 1, TypeError, "argument 'v': expected a tuple of 2 items, got 1"),
        (
            "records#echo-point",
            {"x": 1},
            ValueError,
            "argument 'v': expected point with a field 'y', got {'x': 1}",
        ),
        (
            "records#echo-point",
            POINT | {"z": 3},
            ValueError,
            "argument 'v': expected only the fields x, y of point, got 'z'",
        ),
        (
            "records#echo-point",
            5,
            TypeError,
            "argument 'v': expected point with a field 'x', got 5",
        ),
        (
            "records#echo-point",
            {"x": 1, "y": "2"},
            TypeError,
            "argument 'v': field 'y': expected s32, got '2'",
        ),
        (
            "records#echo-person",
            PERSON | {"others": [HOME, HOME | {"location": {"x": 1, "y": 1 << 40}}]},
            ValueError,
            "argument 'v': field 'others'[1]: field 'location': field 'y': expected s32, got ",
        ),
        (
            "variants#echo-color",
            "pink",
            ValueError,
            "argument 'v': expected color, one of red, green, dark-blue, got 'pink'",
        ),
        (
            "variants#echo-color",
            1,
            TypeError,
            "argument 'v': expected color, one of red, green, dark-blue, got 1",
        ),
        (
            "variants#echo-shape",
            1,
            TypeError,
            "argument 'v': expected shape, one of its cases empty, circle",
        ),
        (
            "variants#echo-permission",
            {"fly"},
            ValueError,
            "argument 'v'[0]: expected permission, flags of read, write, execute, got 'fly'",
        ),
        (
            "variants#echo-permission",
            1,
            TypeError,
            "argument 'v': expected permission, flags of read, write, execute, got 1",
        ),
        (
            "options#echo-twice",
            5,
            TypeError,
            "argument 'v': expected None or Some(…) around an optional value, got 5",
        ),
        ("options#echo-u32", "5", TypeError, "argument 'v': expected u32, got '5'"),
        (
            "results#echo-both",
            5,
            TypeError,
            "argument 'v': expected a result, Ok(…) or Err(…), got 5",
        ),
        ("results#echo-both", Ok("x"), TypeError, "argument 'v': case 'ok': expected u32, got 'x'"),
        (
            "results#echo-both",
            Err(5),
            TypeError,
            "argument 'v': case 'err': expected string, got 5",
        ),
        (
            "results#echo-ok",
            Err(5),
            TypeError,
            "argument 'v': case 'err': expected no value, got 5",
        ),
    ],
)
def test_a_wrong_value_is_refused_by_its_place(call, path, value, error, message):
    with pytest.raises(error) as caught:
        call(path, value)
    assert str(caught.value).startswith(message)


def test_a_wrong_payload_is_refused_by_its_case(call, types):
    with pytest.raises(TypeError) as caught:
        call("variants#echo-shape", types.shape.DrawnBy(types.person(1, 2, 3, 4, 5, 6)))
    assert (
        str(caught.value) == "argument 'v': case 'drawn-by': field 'name': expected string, got 1"
    )


def test_a_refused_call_leaves_the_instance_usable(call):
    with pytest.raises(ValueError):
        call("lists#echo-u32s", [1, 2, -3])
    assert call("lists#echo-u32s", [1, 2, 3]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "names", "message"),
    [
        ((), {}, "takes 1 argument, got 0; it is demo:echo/scalars#echo-u32(v: u32) -> u32"),
        ((1, 2), {}, "takes 1 argument, got 2"),
        ((1,), {"v": 1}, "takes 1 argument, got 2"),
        ((), {"w": 1}, "is missing the argument 'v'"),
    ],
)
def test_wrong_arguments_show_the_signature(echo, arguments, names, message):
    with pytest.raises(TypeError, match=r"demo:echo/scalars#echo-u32 ") as caught:
        echo[PACKAGE + "scalars#echo-u32"](*arguments, **names)
    assert message in str(caught.value)


def test_an_exception_of_the_values_own_code_passes_with_its_place(call):
    class Broken:
        def __index__(self):
            raise LookupError("no number today")

    with pytest.raises(LookupError, match="no number today") as caught:
        call("lists#echo-u32s", [1, Broken()])
    assert caught.value.__notes__ == ["while converting argument 'v'[1]"]


def test_a_value_whose_repr_fails_is_named_by_its_type(call):
    class Mute:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(TypeError, match=r"expected u32, got an object of type .*Mute"):
        call("scalars#echo-u32", Mute())


def test_a_list_that_its_items_change_is_read_as_it_is(call):
    items: list[object] = []

    class Emptying:
        def __index__(self):
            items.clear()
            return 1

    items.extend([Emptying(), 2, 3])
    assert call("lists#echo-u32s", items) == [1]
