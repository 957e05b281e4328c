"""The log of each deployment on disk: bounded, readable from other processes while it grows."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, BinaryIO, Final

from airssys.wasm.actors.log_line import LogLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["LogFiles", "follow_log", "read_log"]

#: Bytes of the file that grows; when it is full it becomes the older one, whose content goes.
FILE_BYTES: Final = 1 << 20
#: Seconds between two looks at a file that is followed.
_PATIENCE: Final = 0.2


class LogFiles:
    """Appends lines to the log of their deployment. Not durable: it is for reading, not for proof.

    A write that the system refuses is counted and the lines are lost; a guest's log never ends a
    host.

    Args:
        directory: Where the logs are; made on the first line.

    Attributes:
        lost: Lines that could not be written.
    """

    def __init__(self, directory: Path) -> None:
        self.lost = 0
        self._directory = directory
        self._one_writer = threading.Lock()

    def append(self, lines: Iterable[LogLine]) -> None:
        """Write lines to the logs of their deployments."""
        by_deployment: dict[str, list[LogLine]] = {}
        for line in lines:
            by_deployment.setdefault(line.deployment, []).append(line)
        with self._one_writer:
            for name, its in by_deployment.items():
                try:
                    self._write(log_path(self._directory, name), its)
                except OSError:
                    self.lost += len(its)

    def _write(self, path: Path, lines: list[LogLine]) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size >= FILE_BYTES:
                path.replace(_older(path))
        with path.open("ab") as file:
            file.write(b"".join(line.encode() for line in lines))


def log_path(directory: Path, deployment: str) -> Path:
    """Return the file that the log of a deployment grows in."""
    return directory / f"{deployment.replace('/', '.')}.jsonl"


def _older(path: Path) -> Path:
    return path.with_suffix(".old.jsonl")


def read_log(directory: Path, deployment: str) -> Iterator[LogLine]:
    """Yield what is kept of a deployment's log, the oldest line first."""
    path = log_path(directory, deployment)
    for each in (_older(path), path):
        with contextlib.suppress(FileNotFoundError), each.open("rb") as file:
            yield from _lines(file)


def follow_log(directory: Path, deployment: str, stop: threading.Event) -> Iterator[LogLine]:
    """Yield what is kept of a deployment's log, then each line as it comes, until `stop` is set."""
    path = log_path(directory, deployment)
    with contextlib.suppress(FileNotFoundError), _older(path).open("rb") as file:
        yield from _lines(file)
    while not stop.is_set():
        try:
            file = path.open("rb")
        except FileNotFoundError:
            stop.wait(_PATIENCE)
            continue
        with file:
            yield from _grow(file, path, stop)


def _grow(file: BinaryIO, path: Path, stop: threading.Event) -> Iterator[LogLine]:
    """Yield the lines of a file as they come, until another has taken its place."""
    rest = b""
    replaced = False
    while True:
        whole, separator, rest = (rest + file.read()).rpartition(b"\n")
        yield from _lines((whole + separator).splitlines(keepends=True))
        if replaced or stop.wait(_PATIENCE):
            return
        # What was written until then is read once more.
        replaced = not _is_at(file, path)


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lines(lines: Iterable[bytes]) -> Iterator[LogLine]:
    for line in lines:
        # A line is written whole, unless the disk was full or the host was killed.
        with contextlib.suppress(ValueError):
            yield LogLine.decode(line)
