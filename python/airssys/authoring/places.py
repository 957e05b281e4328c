"""Where tools and what they make are kept: the user's cache, never a global place."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["cache", "locked", "put", "scratch", "silent"]


def silent(_: str) -> None:
    """Say nothing of what goes on."""


def cache() -> Path:
    """Return the user's cache of AirsSys; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airssys"


@contextlib.contextmanager
def locked(
    folder: Path, what: str, say: Callable[[str], None] = silent, name: str = "lock"
) -> Iterator[None]:
    """Let one process at a time in; the lock ends with the process that holds it.

    Args:
        folder: Where the lock is; made where it is missing.
        what: What another process may be doing, for whoever waits.
        say: Told when there is waiting to do.
        name: The name of the lock's file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for {what}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give a folder beside what will be put in `folder`, and remove it whatever happens."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as made:
        yield Path(made)


def put(content: bytes, destination: Path) -> None:
    """Write a file so that a reader sees the old one or the new one."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)
