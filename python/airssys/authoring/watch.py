"""Noticing that files have changed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from airssys.authoring.stamps import sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["changes"]

#: Seconds between two looks; a look at a hundred files takes less than one millisecond.
_INTERVAL: Final = 0.1


def changes(place: Path, stop: threading.Event | None = None) -> Iterator[None]:
    """Yield once at the beginning, and each time that the files of a place have changed.

    Changes while the caller works on one are one more. An editor that writes a file in steps makes
    several; the last is seen.

    Args:
        place: A script, or the folder of a project; its tests count as well.
        stop: Ends it.
    """
    stop = stop or threading.Event()
    before = None
    while not stop.is_set():
        now = _look(place)
        if now != before:
            before = now
            yield
        elif stop.wait(_INTERVAL):
            return


def _look(place: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of every file that counts."""
    files = [place, place.with_name("Component.toml")]
    if place.is_dir():
        files = [*sources(place), *(place / "tests").rglob("*")]
    found = {}
    for file in files:
        try:
            state = file.stat()
        except OSError:  # a file that is being replaced
            continue
        if "__pycache__" not in file.parts:
            found[file] = (state.st_size, state.st_mtime_ns)
    return found
