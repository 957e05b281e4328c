"""Values on the wire: JSON behind the prefix that names it, and dataclasses made of them."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any, TypeVar

__all__ = ["JSON", "NotUnderstood", "from_json", "from_payload", "to_json", "to_payload"]

#: The number of JSON in the multicodec table, and the bytes that a payload of it begins with.
JSON = 0x0200
_PREFIX = b"\x80\x04"

T = TypeVar("T")


class NotUnderstood(ValueError):
    """A value is not what was declared; the message names the place."""


def to_payload(value: object) -> bytes:
    """Return a value as a payload; dataclasses become objects, bytes pass as they are."""
    if isinstance(value, bytes):
        return value
    return _PREFIX + json.dumps(to_json(value), separators=(",", ":")).encode()


def from_payload(payload: bytes) -> Any:
    """Return the value of a payload.

    Raises:
        NotUnderstood: It is no JSON.
    """
    if not payload.startswith(_PREFIX):
        raise NotUnderstood("a payload in JSON is expected")
    try:
        return json.loads(payload[len(_PREFIX) :])
    except ValueError as error:
        raise NotUnderstood(f"the payload is no JSON: {error}") from None


def to_json(value: object) -> Any:
    """Return what JSON has for a value: dataclasses become mappings, tuples and sets lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json(each) for each in value]
    return value


def from_json(value: Any, wanted: Any, place: str = "the message") -> Any:
    """Return a value as a type says: dataclasses, lists, dicts, optionals and scalars.

    Args:
        value: What JSON had.
        wanted: The type: a class, `list[int]`, `dict[str, float]`, `int | None`, `Any`.
        place: What to call the value in errors.

    Raises:
        NotUnderstood: It is not of that type.
    """
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted is Any or wanted is object:
        return value
    if origin in (typing.Union, types.UnionType):
        return _one_of(value, arguments, place)
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return _dataclass(value, wanted, place)
    if origin in (list, dict) or wanted in (list, dict):
        return _collection(value, origin or wanted, arguments, place)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted is None or wanted is type(None):
        matches = value is None
    else:
        # A bool is an int to Python, and to nobody else.
        matches = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
    if not matches:
        raise _other(value, wanted, place)
    return value


def _collection(value: Any, wanted: Any, arguments: tuple[Any, ...], place: str) -> Any:
    if not isinstance(value, wanted):
        raise _other(value, wanted, place)
    item = arguments[-1] if arguments else Any
    if wanted is list:
        return [from_json(each, item, f"{place}[{number}]") for number, each in enumerate(value)]
    return {key: from_json(each, item, f"{place}.{key}") for key, each in value.items()}


def _one_of(value: Any, wanted: tuple[Any, ...], place: str) -> Any:
    for each in wanted:
        try:
            return from_json(value, each, place)
        except NotUnderstood:
            continue
    raise _other(value, " or ".join(map(_name, wanted)), place)


def _dataclass(value: Any, wanted: type, place: str) -> Any:
    if not isinstance(value, dict):
        raise _other(value, wanted, place)
    hints = typing.get_type_hints(wanted)
    given = {}
    for field in dataclasses.fields(wanted):
        if field.name in value:
            given[field.name] = from_json(
                value[field.name], hints[field.name], f"{place}.{field.name}"
            )
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise NotUnderstood(f"{place} has no {field.name!r}, which {_name(wanted)} needs")
    unknown = sorted(set(value) - set(given))
    if unknown:
        raise NotUnderstood(f"{place} has {unknown[0]!r}, which {_name(wanted)} does not know")
    return wanted(**given)


def _other(value: Any, wanted: Any, place: str) -> NotUnderstood:
    return NotUnderstood(f"{place} is {type(value).__name__}, expected {_name(wanted)}")


def _name(wanted: Any) -> str:
    return wanted.__name__ if isinstance(wanted, type) else str(wanted)
