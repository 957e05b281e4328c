"""Directories as a component sees them, and its patterns of paths as patterns of the host's."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import TYPE_CHECKING

from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.wasi import Directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Mount", "guest_pattern", "host_patterns", "literal", "mounts_from"]

_SPECIAL = re.compile(r"[*?\[\]{}\\]")


@dataclasses.dataclass(frozen=True, slots=True)
class Mount:
    """A directory of the host that a component sees.

    Attributes:
        path: Absolute path on the host, links resolved.
        write: Whether what is in it may be changed at all.
    """

    path: str
    write: bool = False


def mounts_from(given: Mapping[str, str | os.PathLike[str] | Directory]) -> dict[str, Mount]:
    """Return mounts by their normal path in the component.

    Raises:
        InvalidSetting: A path in the component is not absolute and normal, or a directory is none.
    """
    mounts: dict[str, Mount] = {}
    for guest, directory in given.items():
        if not guest.startswith("/") or os.path.normpath(guest) != guest or "\0" in guest:
            raise InvalidSetting(
                f"mount {guest!r} is no path in a component",
                hint="write it absolute and without '.', '..' and '//', as '/data'",
            )
        if not isinstance(directory, Directory):
            directory = Directory(directory)  # noqa: PLW2901 - a path is short for it
        path = os.path.realpath(directory.path)
        if not os.path.isdir(path):  # noqa: PTH112 - of a text that may hold links
            raise InvalidSetting(
                f"mount {guest!r}: there is no directory {os.fspath(directory.path)!r}",
                hint="make it, or name another one",
            )
        mounts[guest] = Mount(path, directory.write)
    return mounts


def host_patterns(pattern: str, mounts: Mapping[str, Mount]) -> list[str]:
    """Return the patterns of host paths that a pattern of paths in the component stands for.

    What lies outside of every mount is nothing that the component could reach.

    Args:
        pattern: As in a manifest: absolute, `*` for one segment, `**` for any number.
        mounts: Directories by their path in the component.
    """
    wanted = [segment for segment in pattern.split("/") if segment]
    found: dict[str, None] = {}
    for guest, mount in mounts.items():
        inside = [segment for segment in guest.split("/") if segment]
        root = "" if mount.path == "/" else literal(mount.path)
        for rest in _below(wanted, inside):
            found["/".join((root, *rest)) or "/"] = None
    return list(found)


def guest_pattern(path: str, mounts: Mapping[str, Mount]) -> str | None:
    """Return the pattern of the one path in the component that is this path of the host.

    None where no mount shows it.
    """
    for guest, mount in mounts.items():
        inside = os.path.relpath(path, mount.path)
        if inside == "..":
            continue
        if inside == ".":
            return literal(guest)
        if not inside.startswith("../"):
            return literal(f"{guest.rstrip('/')}/{inside}")
    return None


def literal(text: str) -> str:
    """Return the pattern that stands for this text alone."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def _below(pattern: list[str], path: list[str]) -> Iterator[list[str]]:
    """Yield what of a pattern is left to match below a path, in every way in which it can be."""
    places = _also_after_deep(pattern, {0})
    for name in path:
        following = set()
        for place in places:
            if place == len(pattern):
                continue
            if pattern[place] == "**":
                following.add(place)
            elif _matches(pattern[place], name):
                following.add(place + 1)
        places = _also_after_deep(pattern, following)
    for place in sorted(places):
        # What stands after `**` is said by what begins with it.
        if place == 0 or pattern[place - 1] != "**":
            yield pattern[place:]


def _also_after_deep(pattern: list[str], places: set[int]) -> set[int]:
    reached = set(places)
    for place in sorted(places):
        while place < len(pattern) and pattern[place] == "**":
            place += 1  # noqa: PLW2901 - walks on from there
            reached.add(place)
    return reached


def _matches(segment: str, name: str) -> bool:
    """Whether one segment of a pattern stands for a name."""
    parts = re.split(r"(\\.|\*)", segment)
    wanted = "".join(".*" if part == "*" else re.escape(part.removeprefix("\\")) for part in parts)
    return re.fullmatch(wanted, name, re.DOTALL) is not None
