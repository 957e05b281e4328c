"""What makes a component as large as it is."""

from __future__ import annotations

from typing import Final

__all__ = ["parts_of"]

_HEADER: Final = 8
#: Sections of a component, by number.
_KINDS: Final = {0: "custom sections", 1: "core modules", 4: "nested components"}


def parts_of(component: bytes) -> dict[str, int]:
    """Return the bytes of the sections at the top level by their kind, the largest first."""
    parts: dict[str, int] = {}
    place = _HEADER
    while place < len(component):
        kind = _KINDS.get(component[place], "types and wiring")
        size, content = _number(component, place + 1)
        parts[kind] = parts.get(kind, 0) + content + size - place
        place = content + size
    return dict(sorted(parts.items(), key=lambda part: -part[1]))


def _number(component: bytes, place: int) -> tuple[int, int]:
    """Read an unsigned LEB128; the number, and where it ends."""
    number = shift = 0
    while True:
        byte = component[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place
