"""TOML files that must have a shape, with errors that name file, line and column."""

from __future__ import annotations

import difflib
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar, cast

import msgspec

from airssys.errors import AirsSysError
from airssys.osl._native import toml_parse, toml_position

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Checked", "Location", "Problem", "check_toml", "position_in", "read_text"]

T = TypeVar("T")
E = TypeVar("E", bound=AirsSysError)

#: Keys and list indices from the top of a document.
Location: TypeAlias = tuple[str | int, ...]

_NO_WORDS: Mapping[str, str] = MappingProxyType({})
_PLACED = re.compile(r"(.*) - at `\$((?:\.[^.\[\]`]+|\[(?:\d+|\.\.\.)\])*)`", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


class Problem(Exception):
    """What is wrong with a text, and where; callers raise it as an error of their own."""

    def __init__(self, name: str, problem: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"{name}:{line}:{column}: {problem}")
        self.file = name
        self.line = line
        self.column = column

    def as_error(self, kind: type[E]) -> E:
        """Return the problem as an error of `kind`, its place in the context."""
        return kind(str(self), file=self.file, line=self.line, column=self.column)


class Checked(NamedTuple, Generic[T]):
    """A document that has its shape, and the lines of the tables in its top-level lists."""

    value: T
    lines: Mapping[str, Sequence[int]]


def read_text(data: bytes, name: str) -> str:
    """Return the bytes of a file as text, or raise a `Problem` that names the line."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - before.rfind(b"\n")
        raise Problem(name, "the file is not UTF-8; save it as UTF-8", line, column) from error


def check_toml(
    text: str, name: str, shape: type[T], words: Mapping[str, str] = _NO_WORDS
) -> Checked[T]:
    """Parse a text and check it against the structs of `shape`.

    Args:
        text: The document.
        name: What errors call it.
        shape: A msgspec struct; fields it forbids are refused with the nearest it has.
        words: What is expected where a text has to match a pattern, by the pattern.

    Raises:
        Problem: The text is not TOML, or not of this shape.
    """
    try:
        document, lines = toml_parse(text)
    except AirsSysError as error:
        line, column = cast("int", error.context["line"]), cast("int", error.context["column"])
        raise Problem(name, error.message, line, column) from None
    try:
        return Checked(msgspec.convert(document, shape), lines)
    except msgspec.ValidationError as error:
        raise _invalid(text, name, shape, document, words, str(error)) from error


def position_in(text: str, name: str, where: Location, problem: str) -> Problem:
    """Return a problem with what stands at a place of a well-formed text."""
    return Problem(name, problem, *toml_position(text, where))


def _invalid(
    text: str,
    name: str,
    shape: type[object],
    document: dict[str, Any],
    words: Mapping[str, str],
    message: str,
) -> Problem:
    # The place stands at the end, and what comes before it may be text of the document.
    placed = _PLACED.fullmatch(message)
    problem, path = (placed[1], placed[2]) if placed else (message, "")
    where: Location = ()
    for match in _STEP.finditer(path):
        if match[2] == "...":
            where = (*where, _culprit(document, where, shape, message))
        else:
            where = (*where, match[1] if match[1] is not None else int(match[2]))
    for pattern, expected in words.items():
        if repr(pattern) in problem:
            problem = f"expected {expected}"
    unknown = re.fullmatch(r"Object contains unknown field `([^`]+)`", problem)
    if unknown:
        known = _fields_at(shape, where)
        where = (*where, unknown[1])
        problem = f"unknown key `{unknown[1]}`"
        nearest = difflib.get_close_matches(unknown[1], known, n=1)
        if nearest:
            problem += f"; did you mean `{nearest[0]}`?"
        elif known:
            problem += f"; expected one of {', '.join(known)}"
    else:
        shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
        problem += f" at {shown.lstrip('.') or 'the top'}"
    return position_in(text, name, where, problem)


def _culprit(document: dict[str, Any], where: Location, shape: type[object], message: str) -> str:
    """Return the key of the first entry of a table that alone leads to an error.

    The checker names the fields on the way to an error, but not the keys of tables with any keys.
    """
    table: Any = document
    for step in where:
        match table:
            case dict() if step in table:
                table = table[step]
            case list() if isinstance(step, int) and step < len(table):
                table = table[step]
            case _:
                return ""
    if not isinstance(table, dict):
        return ""
    entries = dict(table)
    try:
        for key, value in entries.items():
            table.clear()
            table[key] = value
            try:
                msgspec.convert(document, shape)
            except msgspec.ValidationError as error:
                if str(error) == message:
                    return str(key)
    finally:
        table.clear()
        table.update(entries)
    return ""


def _fields_at(shape: type[object], where: Location) -> list[str]:
    """Return the keys that a table at a place may have; none where that cannot be told."""
    found = msgspec.inspect.type_info(shape)
    for step in (*where, None):
        options = list(found.types) if isinstance(found, msgspec.inspect.UnionType) else [found]
        if step is None:
            return [
                field.encode_name
                for option in options
                if isinstance(option, msgspec.inspect.StructType)
                for field in option.fields
            ]
        inner = [following for option in options if (following := _inside(option, step))]
        if not inner:
            return []
        found = inner[0]
    return []


def _inside(found: msgspec.inspect.Type, step: str | int) -> msgspec.inspect.Type | None:
    match found:
        case msgspec.inspect.StructType():
            return next((each.type for each in found.fields if each.encode_name == step), None)
        case msgspec.inspect.VarTupleType() | msgspec.inspect.ListType():
            return found.item_type if isinstance(step, int) else None
        case msgspec.inspect.DictType():
            return found.value_type
        case msgspec.inspect.Metadata():
            return _inside(found.type, step)
        case _:
            return None
