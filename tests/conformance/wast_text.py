"""Read a `.wast` script into its directives, keeping the text of the components in it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>\s+|;;[^\n]*)|(?P<block>\(;)|(?P<open>\()|(?P<close>\))"""
    r"""|(?P<string>"(?:[^"\\]|\\.)*")|(?P<atom>[^\s()";]+)""",
    re.DOTALL,
)
_ESCAPE = re.compile(rb'\\(?:u\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2})|([tnr"\'\\]))')
_SIMPLE = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b'"': b'"', b"'": b"'", b"\\": b"\\"}


@dataclass(frozen=True, slots=True)
class String:
    """A quoted string, with its escapes resolved."""

    value: bytes

    @property
    def text(self) -> str:
        """The string as text."""
        return self.value.decode()


@dataclass(frozen=True, slots=True)
class Form:
    """A parenthesised form, with where it stands in the source."""

    items: list[Form | String | str]
    start: int
    end: int

    @property
    def head(self) -> str:
        """The keyword that it begins with."""
        first = self.items[0]
        assert isinstance(first, str)
        return first


def parse(source: str) -> list[Form]:
    """Read the forms at the top of a script."""
    position, stack = 0, [Form([], 0, 0)]
    while position < len(source):
        token = _TOKEN.match(source, position)
        if token is None:
            raise ValueError(f"line {line_of(source, position)}: not a token")
        start, position = position, token.end()
        match token.lastgroup:
            case "block":
                position = _after_comment(source, position)
            case "open":
                stack.append(Form([], start, 0))
            case "close":
                done = stack.pop()
                stack[-1].items.append(Form(done.items, done.start, position))
            case "string":
                stack[-1].items.append(String(_unescaped(token.group()[1:-1])))
            case "atom":
                stack[-1].items.append(token.group())
    if len(stack) != 1:
        raise ValueError(f"line {line_of(source, stack[-1].start)}: not closed")
    return [item for item in stack[0].items if isinstance(item, Form)]


def line_of(source: str, position: int) -> int:
    """Return the line of a position, from 1."""
    return source.count("\n", 0, position) + 1


def component_source(source: str, form: Form) -> bytes:
    """Return the bytes to load for a `(component ...)` form: its text, its quote or its binary."""
    rest = form.items[1:]
    if rest and isinstance(rest[0], str) and rest[0].startswith("$"):
        rest = rest[1:]
    if rest and rest[0] in ("quote", "binary"):
        joined = b"".join(item.value for item in rest if isinstance(item, String))
        return b"(component " + joined + b")" if rest[0] == "quote" else joined
    text = source[form.start : form.end]
    return re.sub(r"\A\(component\s+definition\b", "(component", text).encode()


def _after_comment(source: str, position: int) -> int:
    depth = 1
    while depth:
        mark = re.compile(r"\(;|;\)").search(source, position)
        if mark is None:
            raise ValueError("a block comment is not closed")
        depth += 1 if mark.group() == "(;" else -1
        position = mark.end()
    return position


def _unescaped(text: str) -> bytes:
    def resolved(found: re.Match[bytes]) -> bytes:
        scalar, byte, simple = found.groups()
        if scalar:
            return chr(int(scalar, 16)).encode()
        return bytes([int(byte, 16)]) if byte else _SIMPLE[simple]

    return _ESCAPE.sub(resolved, text.encode())
