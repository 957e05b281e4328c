"""The pair of functions that writes and reads one type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airssys.wasm.codecs.borsh.reader import Reader

__all__ = ["Read", "Schema", "Write"]

Write = Callable[[bytearray, Any], None]
Read = Callable[[Reader], Any]


@dataclass(slots=True)
class Schema:
    """How values of a type become bytes and are read again.

    Attributes:
        write: Appends a value's bytes.
        read: Reads a value.
        least: The fewest bytes that a value takes; lengths are checked against it before anything
            is made.
        matches: Whether a value is of this type, to choose among the variants of a union.
    """

    write: Write
    read: Read
    least: int
    matches: Callable[[Any], bool]
