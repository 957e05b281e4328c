"""Names of Python as WIT writes them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["kebab", "quoted"]

_PARTS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+")
#: Words that mean something to WIT; a `%` before them takes that away.
_RESERVED: Final = (
    "as async bool borrow char constructor enum error-context export f32 f64 flags from func future"
    " import include interface list map option own package record resource result s16 s32 s64 s8"
    " static stream string tuple type u16 u32 u64 u8 use variant with world"
)
_WORDS: Final = frozenset(_RESERVED.split())


def kebab(name: str) -> str:
    """Return a name as WIT has it: `unit_price` is `unit-price`, `LineItem` is `line-item`."""
    return "-".join(part.lower() for part in _PARTS.split(name.strip("_")) if part)


def quoted(name: str) -> str:
    """Return a name as WIT text has it."""
    return f"%{name}" if name in _WORDS else name
