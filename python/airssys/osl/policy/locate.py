"""Where in a TOML file something stands.

The parsers keep no positions, so this reads the structure of a text that a parser has accepted:
headers and keys, skipping strings and comments.
"""

from __future__ import annotations

import re
from typing import TypeAlias

__all__ = ["Location", "locate"]

#: Keys and list indices from the top of the document.
Location: TypeAlias = tuple[str | int, ...]

_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|\n|[\[\]{}=,.]"
    r"|[^\s\[\]{}=,.\#\"']+",
    re.DOTALL,
)


def locate(text: str) -> dict[Location, int]:
    """Return the line, counted from 1, of each table, list item and key of a valid TOML text."""
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, int]] = []
        line = 1
        for match in _TOKEN.finditer(text):
            token = match.group()
            if not token.startswith("#"):
                self._tokens.append((token, line))
            line += token.count("\n")
        self._next = 0
        self._lines: dict[Location, int] = {}
        self._sizes: dict[Location, int] = {}

    def read(self) -> dict[Location, int]:
        table: Location = ()
        while self._peek() is not None:
            if self._peek() == "\n":
                self._next += 1
            elif self._peek() == "[":
                table = self._header()
            else:
                self._key_value(table)
        return self._lines

    def _peek(self) -> str | None:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else None

    def _take(self) -> tuple[str, int]:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _note(self, where: Location, line: int) -> Location:
        self._lines.setdefault(where, line)
        return where

    def _key(self, base: Location, stop: str) -> Location:
        where = base
        while True:
            word, line = self._take()
            if word == stop:
                return where
            if word != ".":
                where = self._note((*self._last(where), _plain(word)), line)

    def _last(self, where: Location) -> Location:
        """Return the table that a header means by `where`: of a list of tables, the last."""
        size = self._sizes.get(where)
        return where if size is None else (*where, size - 1)

    def _header(self) -> Location:
        _, line = self._take()
        listed = self._peek() == "["
        if listed:
            self._next += 1
        where = self._key((), "]")
        if listed:
            self._next += 1
            index = self._sizes.get(where, 0)
            self._sizes[where] = index + 1
            return self._note((*where, index), line)
        return self._last(where)

    def _key_value(self, table: Location) -> None:
        self._value(self._key(table, "="))

    def _skip_lines(self) -> None:
        while self._peek() == "\n":
            self._next += 1

    def _value(self, where: Location) -> None:
        word, _ = self._take()
        if word == "[":
            index = 0
            self._skip_lines()
            while self._peek() != "]":
                self._value(self._note((*where, index), self._tokens[self._next][1]))
                index += 1
                self._skip_lines()
                if self._peek() == ",":
                    self._next += 1
                    self._skip_lines()
            self._next += 1
        elif word == "{":
            self._skip_lines()
            while self._peek() != "}":
                self._key_value(where)
                self._skip_lines()
                if self._peek() == ",":
                    self._next += 1
                    self._skip_lines()
            self._next += 1
        else:
            # A float or a date has dots and blanks inside, and comes as several tokens.
            while self._peek() not in {None, "\n", ",", "]", "}"}:
                self._next += 1


def _plain(key: str) -> str:
    return key[1:-1] if key[:1] in {'"', "'"} else key
