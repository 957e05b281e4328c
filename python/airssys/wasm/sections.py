"""Custom sections at the top level of a component: where a manifest and signatures travel."""

from __future__ import annotations

import dataclasses
from typing import Final

from airssys.wasm.errors import InvalidComponent

__all__ = ["Section", "custom_sections", "with_section", "without_sections"]

_PREAMBLE: Final = b"\0asm\x0d\x00\x01\x00"
_CUSTOM: Final = 0
_LONGEST_NUMBER: Final = 5  # bytes of a u32 in LEB128


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """A custom section.

    Attributes:
        name: Its name.
        start: Offset of the section, its id included, in the component.
        end: Offset of the first byte after it.
        content: The bytes after the name.
    """

    name: str
    start: int
    end: int
    content: bytes


def custom_sections(component: bytes, name: str | None = None) -> list[Section]:
    """Return the custom sections at the top level, in order; sections of nested parts are not seen.

    Args:
        component: A component in binary form.
        name: Return those of this name only.

    Raises:
        InvalidComponent: The bytes are no component, or a section runs over their end.
    """
    if not component.startswith(_PREAMBLE):
        raise InvalidComponent(
            f"not a component in binary form: the file begins with {component[:8].hex(' ')}"
        )
    found = []
    offset = len(_PREAMBLE)
    while offset < len(component):
        start = offset
        size, content = _number(component, start + 1)
        offset = content + size
        if offset > len(component):
            raise InvalidComponent(
                f"the section at offset {start} has {size} bytes,"
                f" {len(component) - content} are left"
            )
        if component[start] == _CUSTOM:
            length, text = _number(component, content)
            if text + length > offset:
                raise InvalidComponent(f"the name of the section at offset {start} is cut off")
            try:
                title = component[text : text + length].decode()
            except UnicodeDecodeError as error:
                raise InvalidComponent(
                    f"the name of the section at offset {start} is not UTF-8"
                ) from error
            if name is None or title == name:
                found.append(Section(title, start, offset, component[text + length : offset]))
    return found


def with_section(component: bytes, name: str, content: bytes) -> bytes:
    """Return the component with one custom section of this name, at its end; others of it go.

    Raises:
        InvalidComponent: The bytes are no component.
    """
    encoded = name.encode()
    payload = _encoded(len(encoded)) + encoded + content
    section = bytes([_CUSTOM]) + _encoded(len(payload)) + payload
    return without_sections(component, name) + section


def without_sections(component: bytes, name: str) -> bytes:
    """Return the component without its custom sections of this name.

    Raises:
        InvalidComponent: The bytes are no component.
    """
    kept, last = [], 0
    for section in custom_sections(component, name):
        kept.append(component[last : section.start])
        last = section.end
    return b"".join([*kept, component[last:]])


def _number(data: bytes, offset: int) -> tuple[int, int]:
    """Read an unsigned LEB128 number of 32 bits; return it and the offset after it."""
    value = 0
    for index in range(_LONGEST_NUMBER):
        if offset + index >= len(data):
            break
        byte = data[offset + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value >> 32:
                break
            return value, offset + index + 1
    raise InvalidComponent(f"the number at offset {offset} is cut off or too large")


def _encoded(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
