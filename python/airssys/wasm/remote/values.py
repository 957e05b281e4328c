"""Values of guests as bytes and back, without loss.

A value is MessagePack. What MessagePack has no word for is an extension: tuples, `Some`, `Ok`,
`Err`, and the records, variants, enums and flags of components. Those name their type by its place
in a table that stands before the value, so that a thousand records say once what they are. Who
reads makes the same classes of it that the component's own process has.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import operator
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NoReturn, cast

import msgspec

from airssys.errors import AirsSysError
from airssys.wasm import values
from airssys.wasm._native import Resource
from airssys.wasm.streams import GuestFuture, GuestStream
from airssys.wasm.values import Err, Ok, Some, WitEnum, WitFlags

__all__ = ["MEDIA_TYPE", "MalformedValues", "ValueStays", "pack", "unpack"]

#: The media type of packed values.
MEDIA_TYPE: Final = "application/vnd.airssys.values"

#: Types that one table may have; each costs whoever reads it a class.
_MOST_TYPES: Final = 1000
_TUPLE, _SOME, _OK, _ERR, _TYPED = 1, 2, 3, 4, 5
_WRAPPERS: Final = {Some: _SOME, Ok: _OK, Err: _ERR}
_WRAPPED: Final = {code: wrapper for wrapper, code in _WRAPPERS.items()}
_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})


class ValueStays(AirsSysError, TypeError):
    """A value cannot leave its process: a resource, a stream, a future, or no value at all."""

    default_code = "value-stays"


class MalformedValues(AirsSysError, ValueError):
    """Bytes are not values as `pack` writes them."""

    default_code = "malformed-values"


def pack(value: object) -> bytes:
    """Return a value as bytes.

    Args:
        value: What a function takes or returns. A mapping, and any object with fields, may stand
            for a record; a buffer for bytes.

    Raises:
        ValueStays: Something in it exists only in this process.
    """
    table: dict[Any, int] = {}
    try:
        body = _plain(value, table)
        return msgspec.msgpack.encode([list(table), body])
    except (RecursionError, OverflowError) as error:
        raise ValueStays(f"the value cannot be written: {error}") from error


def unpack(packed: bytes) -> Any:
    """Return the value that `pack` made bytes of.

    Raises:
        MalformedValues: They are something else.
    """
    try:
        table, body = msgspec.msgpack.decode(packed, type=tuple[list[list[Any]], msgspec.Raw])
        if len(table) > _MOST_TYPES:
            _refuse(f"{len(table)} types, at most {_MOST_TYPES} are read")
        return _Reader([_spec(entry) for entry in table]).read(body)
    except MalformedValues:
        raise
    except (msgspec.MsgspecError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise MalformedValues(f"these bytes are no packed values: {error}") from error


def _plain(value: Any, table: dict[Any, int]) -> Any:
    """Return the same with extensions for what MessagePack does not know."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        return [_plain(item, table) for item in value]
    if kind is dict:
        return {_plain(key, table): _plain(item, table) for key, item in value.items()}
    if kind is tuple:
        return _extension(_TUPLE, [_plain(item, table) for item in value])
    wrapper = _WRAPPERS.get(kind)
    if wrapper is not None:
        return _extension(wrapper, _plain(value.value, table))
    return _typed(value, table)


def _typed(value: Any, table: dict[Any, int]) -> Any:
    """Return a value of a component's type, or what stands for one."""
    made = _parts(value)
    if made is None:
        return _foreign(value, table)
    name, spec, case, members = made
    number = table.setdefault((name, *spec), len(table))
    return _extension(_TYPED, [number, case, [_plain(item, table) for item in members]])


def _foreign(value: Any, table: dict[Any, int]) -> Any:
    """Return what stands for an object of the program's own, as a call in process takes it."""
    if isinstance(value, (Resource, GuestStream, GuestFuture)):
        raise _stays(value)
    scalar = _scalar(value)
    if scalar is not None:
        return scalar
    with contextlib.suppress(TypeError):
        view = memoryview(value)
        return view.tobytes() if view.format in {"B", "b", "c"} else view.tolist()
    if isinstance(value, Mapping):
        return {_plain(key, table): _plain(item, table) for key, item in value.items()}
    fields = _fields(value)
    if fields is not None:
        return {name: _plain(getattr(value, name), table) for name in fields}
    if isinstance(value, Iterable):
        return [_plain(item, table) for item in value]
    raise _stays(value)


def _stays(value: object) -> ValueStays:
    return ValueStays(
        f"{value!r} cannot leave its process: a call to a server takes and returns plain values; "
        "use resources and streams in the process of the host"
    )


def _scalar(value: Any) -> bool | int | float | str | None:
    if isinstance(value, enum.Enum) and isinstance(value.value, str):
        return value.value  # a member of an enum of the program's own
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float(value)
    return operator.index(value) if hasattr(value, "__index__") else None


def _fields(value: Any) -> Collection[str] | None:
    """Return the names of the fields of an object that may stand for a record."""
    if dataclasses.is_dataclass(value):
        return [each.name for each in dataclasses.fields(value)]
    names: Collection[str] | None = getattr(value, "_fields", None)  # of a named tuple
    if names is None and not isinstance(value, Iterable):
        names = getattr(value, "__dict__", None)
    return names


def _parts(value: Any) -> tuple[str, tuple[Any, ...], str | None, tuple[Any, ...]] | None:
    """Return what a value of a component's type is made of; None for any other."""
    if not (isinstance(value, (WitEnum, WitFlags)) or dataclasses.is_dataclass(value)):
        return None
    reduced: tuple[Any, ...] = cast("Any", value).__reduce_ex__(4)
    return reduced[1] if reduced[0] is values.restore else None


def _extension(code: int, content: Any) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(code, msgspec.msgpack.encode(content))


def _spec(entry: list[Any]) -> tuple[str, tuple[Any, ...]]:
    kind, *spec = entry
    parts = tuple(tuple(part) if isinstance(part, list) else part for part in spec)
    return kind, parts


def _refuse(what: str) -> NoReturn:
    raise MalformedValues(f"these bytes are no packed values: {what}")


class _Reader:
    """Reads values whose types stand in a table."""

    __slots__ = ("_table",)

    def __init__(self, table: list[tuple[str, tuple[Any, ...]]]) -> None:
        self._table = table

    def read(self, content: bytes | memoryview | msgspec.Raw) -> Any:
        return msgspec.msgpack.decode(content, ext_hook=self._extension)

    def _extension(self, code: int, content: memoryview) -> Any:
        inner = self.read(content)
        if code == _TUPLE:
            return tuple(inner)
        if code in _WRAPPED:
            return _WRAPPED[code](inner)
        if code != _TYPED:
            _refuse(f"there is no extension {code}")
        number, case, members = inner
        kind, spec = self._table[number]
        return values.restore(kind, spec, case, tuple(members))
