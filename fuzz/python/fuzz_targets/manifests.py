"""Manifests: as files of people, and as they travel in a component."""

from __future__ import annotations

import contextlib
import re

from airssys.wasm.errors import InvalidComponent
from airssys.wasm.manifest import (
    ManifestError,
    embed_manifest,
    parse_component_manifest,
    parse_host_manifest,
)
from airssys.wasm.manifest import embedded_manifest as read_embedded
from airssys.wasm.sections import custom_sections, with_section, without_sections

#: The preamble of a component: an empty one.
EMPTY = b"\0asm\x0d\x00\x01\x00"
_PLACE = re.compile(r"[A-Za-z]+\.toml:(\d+):(\d+): .", re.DOTALL)


def component_manifest(data: bytes) -> None:
    """Read `Component.toml`; what is one travels in a component unchanged."""
    text = data.decode(errors="ignore")
    try:
        manifest = parse_component_manifest(text)
    except ManifestError as error:
        _stands_in(text, error)
        return
    if read_embedded(embed_manifest(EMPTY, manifest)) != manifest:
        raise AssertionError(f"{manifest} is another one after it was embedded")


def host_manifest(data: bytes) -> None:
    """Read `airssys.toml`."""
    text = data.decode(errors="ignore")
    try:
        parse_host_manifest(text)
    except ManifestError as error:
        _stands_in(text, error)


def embedded_manifest(data: bytes) -> None:
    """Read the sections of what may be a component, and the manifest in one of them."""
    try:
        sections = custom_sections(data)
    except InvalidComponent:
        sections = []
    else:
        for section in sections:
            if without_sections(with_section(data, "x", b"y"), "x") != without_sections(data, "x"):
                raise AssertionError("a section that comes and goes leaves something behind")
            if not section.start < section.end <= len(data):
                raise AssertionError(f"{section} is not in {len(data)} bytes")
        with contextlib.suppress(ManifestError, InvalidComponent):
            read_embedded(data)
    with contextlib.suppress(ManifestError):
        read_embedded(with_section(EMPTY, "airssys-manifest", data))


def _stands_in(text: str, error: ManifestError) -> None:
    """Fail unless an error names a place of the text."""
    match = _PLACE.match(error.message)
    if match is None:
        raise AssertionError(f"no place in {error.message!r}")
    line, column = int(match[1]), int(match[2])
    lines = text.split("\n")
    if not (1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1):
        raise AssertionError(f"{line}:{column} is not in the text: {error.message!r}")
