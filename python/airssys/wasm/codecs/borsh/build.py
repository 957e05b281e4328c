"""From an annotation to its schema."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from typing import Annotated, Any, Union, cast

from airssys.wasm.codecs.borsh import containers, scalars
from airssys.wasm.codecs.borsh.reader import DEEPEST
from airssys.wasm.codecs.borsh.schema import Schema

if typing.TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.wasm.codecs.borsh.reader import Reader

__all__ = ["build"]

_SCALARS: dict[Any, Callable[[], Schema]] = {
    None: scalars.unit,
    types.NoneType: scalars.unit,
    bool: scalars.boolean,
    str: scalars.text,
    bytes: lambda: scalars.byte_string(None),
    float: lambda: scalars.float_schema(scalars.Float(8)),
}


def build(annotation: Any) -> Schema:
    """Make the schema of a type.

    Raises:
        TypeError: The type, or one that it is made of, has no Borsh encoding.
    """
    return _Builder().of(annotation)


class _Builder:
    """Builds the schemas of one type; dataclasses that hold themselves are made once."""

    def __init__(self) -> None:
        self._structs: dict[type, Schema] = {}

    def of(self, annotation: Any) -> Schema:
        origin = typing.get_origin(annotation)
        if origin is Annotated:
            return self._annotated(annotation)
        if origin in {Union, types.UnionType}:
            return self._union(typing.get_args(annotation))
        if origin is not None:
            return self._generic(annotation, origin, typing.get_args(annotation))
        return self._plain(annotation)

    def _plain(self, annotation: Any) -> Schema:
        if annotation is int:
            raise TypeError("an int has no width in Borsh; annotate it as u32, i64, …")
        if annotation in _SCALARS:
            return _SCALARS[annotation]()
        if isinstance(annotation, type):
            if issubclass(annotation, enum.Enum):
                _countable(len(annotation), annotation.__name__)
                return containers.enum_of_members(annotation)
            if dataclasses.is_dataclass(cast("type", annotation)):
                return self._struct(annotation)
        raise TypeError(f"{annotation!r} has no Borsh encoding")

    def _annotated(self, annotation: Any) -> Schema:
        base, *marks = typing.get_args(annotation)
        for mark in marks:
            if isinstance(mark, scalars.Integer):
                return scalars.integer_schema(mark)
            if isinstance(mark, scalars.Float):
                return scalars.float_schema(mark)
            if isinstance(mark, scalars.Length):
                if base is bytes:
                    return scalars.byte_string(mark)
                if typing.get_origin(base) is list:
                    return containers.list_of(self.of(typing.get_args(base)[0]), mark)
                raise TypeError(f"a Length is for bytes and lists, not for {base!r}")
        return self.of(base)

    def _generic(self, annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> Schema:
        if origin is list:
            return containers.list_of(self.of(arguments[0]), None)
        if origin in {set, frozenset}:
            return containers.set_of(self.of(arguments[0]), origin)
        if origin is dict:
            return containers.map_of(self.of(arguments[0]), self.of(arguments[1]))
        if origin is tuple:
            if arguments[-1:] == (...,):
                raise TypeError(f"{annotation!r} has no fixed number of items; take a list")
            return containers.tuple_of([self.of(argument) for argument in arguments])
        raise TypeError(f"{annotation!r} has no Borsh encoding")

    def _union(self, arguments: tuple[Any, ...]) -> Schema:
        present = [argument for argument in arguments if argument is not types.NoneType]
        if len(present) == 1:
            schema = self.of(present[0])
        else:
            names = " | ".join(getattr(one, "__name__", str(one)) for one in present)
            if not all(dataclasses.is_dataclass(one) for one in present):
                raise TypeError(f"a Borsh enum is a union of dataclasses; {names} is not")
            _countable(len(present), names)
            schema = containers.enum_of_dataclasses([self.of(one) for one in present], names)
        return schema if len(present) == len(arguments) else containers.option_of(schema)

    def _struct(self, kind: type) -> Schema:
        if kind in self._structs:
            return self._structs[kind]
        # Stands for the struct while its own fields are built. Its least size is then 1 for those
        # fields, which is right: a type that holds itself does so within a list or an option.
        made = Schema(_unfinished, _unfinished, 1, lambda value: isinstance(value, kind))
        schema = Schema(
            lambda out, value: made.write(out, value),  # noqa: PLW0108 - `write` comes later
            lambda reader: _deeper(made, reader),
            1,
            made.matches,
        )
        self._structs[kind] = schema
        hints = typing.get_type_hints(kind, include_extras=True)
        fields = [
            (field.name, self.of(hints[field.name]))
            for field in dataclasses.fields(kind)
            if field.init
        ]
        complete = containers.struct_of(kind, fields)
        made.write, made.read = complete.write, complete.read
        schema.least = complete.least
        return schema


def _deeper(made: Schema, reader: Reader) -> Any:
    reader.depth += 1
    if reader.depth > DEEPEST:
        raise ValueError(f"byte {reader.position}: nested more than {DEEPEST} levels deep")
    value = made.read(reader)
    reader.depth -= 1
    return value


def _unfinished(*_: object) -> typing.NoReturn:
    raise AssertionError("a schema was used before it was built")


def _countable(variants: int, names: str) -> None:
    if variants > 256:
        raise TypeError(f"{names} has {variants} variants; Borsh counts them in one byte")
