"""What `airssys` prints: data on stdout, everything else on stderr.

The libraries that print are imported where they are used: every command imports this module, and
most print one line.
"""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "Json",
    "errors_as_json",
    "escaped",
    "print_error",
    "print_json",
    "print_note",
    "print_pairs",
    "print_table",
    "print_text",
    "short_digest",
    "size_text",
    "working",
]

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

# Beside control characters those that are invisible or reorder text, as in the audit log.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f]"
    r"|[\ufeff\ufff9-\ufffb]"
)
_IN_A_CELL = re.compile(r"[\t\n]")


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def escaped(text: str) -> str:
    """Make control characters visible, so that nothing a guest says can steer the terminal."""
    return _CONTROL.sub(_visible, text)


def _cell(text: str) -> str:
    """Do so where a line break would look like another row, too."""
    return _IN_A_CELL.sub(_visible, escaped(text))


def print_json(document: object) -> None:
    """Print records, mappings, lists and scalars as indented JSON."""
    import msgspec  # noqa: PLC0415

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; every cell is taken literally."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(str(cell))) for cell in row))
    # Without a terminal the reader is a program or a file: no line is folded to some default width.
    Console(width=None if sys.stdout.isatty() else 4096).print(table)


def print_note(text: str) -> None:
    """Print a remark for the person at the terminal to stderr."""
    sys.stderr.write(escaped(text) + "\n")


def print_text(text: str) -> None:
    """Print text as it is, but for control characters."""
    sys.stdout.write(escaped(text).rstrip("\n") + "\n")


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and what belongs to them, which may have several lines."""
    for name, text in pairs:
        for number, line in enumerate(escaped(text).splitlines() or [""]):
            sys.stdout.write(f"{name if number == 0 else '':<12}{line}\n")


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show at the terminal, if there is one, that something takes its time."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415

    with Console(stderr=True).status(escaped(what)):
        yield


_form = {"json": False}


def errors_as_json(on: bool) -> None:
    """Say whether `print_error` prints for a program, as `--json` asks, or for a person."""
    _form["json"] = on


def print_error(
    summary: str, hint: str = "", *, notes: Iterable[str] = (), code: str = "failed"
) -> None:
    """Print what went wrong, the next step and details to stderr.

    Args:
        summary: What went wrong. What follows its first "; " is taken as the next step.
        hint: The next step.
        notes: Further text, such as a guest's backtrace.
        code: What it is, for a program.
    """
    if not hint:
        summary, _, hint = summary.partition("; ")
    if _form["json"]:
        import msgspec  # noqa: PLC0415

        document = {"code": code, "message": summary, "hint": hint, "notes": list(notes)}
        sys.stderr.write(msgspec.json.encode({"error": document}).decode() + "\n")
        return
    sys.stderr.write(f"error: {escaped(summary)}\n")
    for note in notes:
        sys.stderr.write(f"{escaped(note)}\n")
    if hint:
        sys.stderr.write(f"hint: {escaped(hint)}\n")


def short_digest(digest: str) -> str:
    """Return as much of `sha256:...` as tells components apart for a person."""
    return digest[: len("sha256:") + 12]


def size_text(count: float) -> str:
    """Return a number of bytes as a person reads it: `18.3 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
