"""The values of a `.wast` script, as arguments and as what a result has to be."""

from __future__ import annotations

import enum
import math
import struct
from dataclasses import dataclass
from typing import Any

from airssys.wasm import Err, Ok, Some

from .wast_text import Form, String


@dataclass(frozen=True, slots=True)
class Case:
    """A case of a variant."""

    name: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class EnumCase:
    """A case of an enum."""

    name: str


@dataclass(frozen=True, slots=True)
class Flags:
    """The names of the flags that are set."""

    names: frozenset[str]


def value_of(form: Form) -> Any:
    """Read `(u32.const 1)` and the like."""
    return _value(form.head, form.items[1:])


def _value(kind: str, rest: list[Form | String | str]) -> Any:  # noqa: PLR0911, PLR0912 - a table
    match kind:
        case "bool.const":
            return rest[0] == "true"
        case "f32.const":
            return struct.unpack("f", struct.pack("f", _float(str(rest[0]))))[0]
        case "f64.const":
            return _float(str(rest[0]))
        case "char.const" | "str.const":
            return _text(rest[0])
        case "list.const" | "tuple.const":
            items = [value_of(item) for item in _forms(rest)]
            if kind == "tuple.const":
                return tuple(items)
            # A list of u8 is bytes in Python.
            bytewise = items and all(item.head == "u8.const" for item in _forms(rest))
            return bytes(items) if bytewise else items
        case "record.const":
            return {_text(f.items[1]): _value(str(f.items[2]), f.items[3:]) for f in _forms(rest)}
        case "variant.const":
            return Case(_text(rest[0]), value_of(_forms(rest)[0]) if len(rest) > 1 else None)
        case "enum.const":
            return EnumCase(_text(rest[0]))
        case "flags.const":
            return Flags(frozenset(_text(item) for item in rest))
        case "option.none":
            return None
        case "option.some":
            return Some(value_of(_forms(rest)[0]))
        case "result.ok" | "result.err":
            made = Ok if kind == "result.ok" else Err
            return made(value_of(_forms(rest)[0]) if rest else None)
        case _:
            return int(str(rest[0]).replace("_", ""), 0)


def argument(value: Any) -> Any:  # noqa: PLR0911 - a table
    """Turn what a script says into what a call takes: cases and flags by their WIT names."""
    match value:
        case Case(name, payload):
            made = type("Case", (), {"__wit_case__": name, "value": argument(payload)})
            return made()
        case EnumCase(name):
            return name
        case Flags(names):
            return sorted(names)
        case Some(inner):
            nested = inner is None or isinstance(inner, Some)
            return Some(argument(inner)) if nested else argument(inner)
        case Ok(inner) | Err(inner):
            return type(value)(argument(inner))
        case dict():
            return {name: argument(item) for name, item in value.items()}
        case list() | tuple():
            return type(value)(argument(item) for item in value)
        case _:
            return value


def same(expected: Any, actual: Any) -> bool:  # noqa: PLR0911 - a table
    """Tell whether a call returned what the script says."""
    match expected:
        case float() if math.isnan(expected):
            return isinstance(actual, float) and math.isnan(actual)
        case float():
            return struct.pack("d", expected) == struct.pack("d", actual)
        case EnumCase(name):
            return isinstance(actual, enum.Enum) and actual.value == name
        case Case(name, value):
            found = getattr(type(actual), "__wit_case__", None)
            return found == name and same(value, getattr(actual, "value", None))
        case Flags(names):
            return {flag.name for flag in actual} == {_member(name) for name in names}
        case Some(value):
            # Only an option of an option is wrapped in Python.
            return same(value, actual.value if isinstance(actual, Some) else actual)
        case Ok(value) | Err(value):
            return type(actual) is type(expected) and same(value, actual.value)
        case dict():
            fields = {name.replace("-", "_"): value for name, value in expected.items()}
            return all(same(value, getattr(actual, name)) for name, value in fields.items())
        case list() | tuple():
            pairs = zip(expected, actual, strict=False)
            return len(expected) == len(actual) and all(same(e, a) for e, a in pairs)
        case _:
            return type(expected) is type(actual) and expected == actual


def _member(name: str) -> str:
    return name.replace("-", "_").upper()


def _forms(items: list[Form | String | str]) -> list[Form]:
    return [item for item in items if isinstance(item, Form)]


def _text(item: Form | String | str) -> str:
    assert isinstance(item, String)
    return item.text


def _float(text: str) -> float:
    bare = text.lstrip("+-").replace("_", "")
    if bare.startswith("nan"):
        return math.nan
    sign = -1.0 if text.startswith("-") else 1.0
    return sign * (float.fromhex(bare) if bare.startswith("0x") else float(bare))
