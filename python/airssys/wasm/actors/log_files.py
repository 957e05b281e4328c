"""The log of each deployment on disk: bounded, readable from other processes while it grows."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from airssys.wasm.actors.log_line import LogLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["LogFiles", "LogReader", "follow_log", "read_log"]

#: Bytes of the file that grows; when it is full it becomes the older one, whose content goes.
FILE_BYTES: Final = 1 << 20
#: Seconds between two looks at a file that is followed.
PATIENCE: Final = 0.2


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
    with LogReader(directory, deployment) as reader:
        while True:
            yield from reader.take()
            if stop.wait(PATIENCE):
                return


class LogReader:
    """Reads the log of a deployment while it grows, also through the change of its files.

    Args:
        directory: Where the logs are.
        deployment: The deployment.
    """

    def __init__(self, directory: Path, deployment: str) -> None:
        self._path = log_path(directory, deployment)
        self._file: BinaryIO | None = None
        self._rest = b""
        self._begun = False

    def take(self) -> list[LogLine]:
        """Return what came since the last time; the first time what is kept."""
        lines: list[LogLine] = []
        if not self._begun:
            self._begun = True
            with contextlib.suppress(FileNotFoundError), _older(self._path).open("rb") as file:
                lines.extend(_lines(file))
        while True:
            if self._file is None:
                try:
                    self._file = self._path.open("rb")
                except FileNotFoundError:
                    return lines
            # In this order: what was written to it until another took its place is read too.
            replaced = not _is_at(self._file, self._path)
            whole, separator, self._rest = (self._rest + self._file.read()).rpartition(b"\n")
            lines.extend(_lines((whole + separator).splitlines(keepends=True)))
            if not replaced:
                return lines
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


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
