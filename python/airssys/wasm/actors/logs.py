"""What guests log: to `logging`, to a ring for each deployment, and to files."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from airssys.wasm._native import _core
from airssys.wasm.actors.log_files import LogFiles
from airssys.wasm.actors.log_line import LEVELS, LogLine

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from airssys.wasm.actors.log_line import LogLevel

__all__ = ["GuestLogs"]

#: Lines that are kept in memory for each deployment.
RING: Final = 1000
#: Batches of lines that may wait for handlers and files.
WAITING: Final = 1000
#: Seconds in which lines gather before they are passed on.
GATHERING: Final = 0.02


class GuestLogs:
    """Takes the lines of all guests of a host.

    Each goes to the logger `airssys.guest.<namespace>.<name>` with the attributes `namespace`,
    `deployment`, `actor_key`, `revision`, `trace_id` and `guest_fields`; to the ring of its
    deployment; and to its file. Handlers and files are served by a thread of their own, so that
    whoever is slow there holds up no guest. Safe to use from several threads.

    Args:
        directory: Where the files are.

    Attributes:
        lost: Lines that were only kept in the ring because too many waited for the thread.
    """

    def __init__(self, directory: Path) -> None:
        self.lost = 0
        self._files = LogFiles(directory)
        self._rings: dict[str, deque[LogLine]] = {}
        self._one_change = threading.Lock()
        self._waiting: queue.Queue[tuple[LogLine, ...] | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._calls: _core.GuestLog | None = None
        self._reader: threading.Thread | None = None
        self._one_reader = threading.Lock()

    def calls(self) -> _core.GuestLog:
        """Return what takes the lines of guests that are no actors; a thread reads it."""
        with self._one_change:
            if self._calls is None:
                self._calls = _core.GuestLog(RING)
                self._reader = threading.Thread(
                    target=self._read_on, args=(self._calls,), name="airssys-calls", daemon=True
                )
                self._reader.start()
            return self._calls

    def _read_on(self, calls: _core.GuestLog) -> None:
        while calls.wait():
            self._read(calls)

    def _read(self, calls: _core.GuestLog) -> None:
        with self._one_reader:  # or lines would change places
            lines = calls.take()
            if lines:
                self.take(LogLine(**line) for line in lines)

    def take(self, lines: Iterable[LogLine]) -> None:
        """Pass lines on, in their order; never waits."""
        lines = tuple(lines)
        with self._one_change:
            for line in lines:
                ring = self._rings.get(line.deployment)
                if ring is None:
                    ring = self._rings[line.deployment] = deque(maxlen=RING)
                ring.append(line)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._pass_on, name="airssys-logs", daemon=True
                )
                self._thread.start()
        try:
            self._waiting.put_nowait(lines)
        except queue.Full:
            self.lost += len(lines)

    def _pass_on(self) -> None:
        going_on = True
        while going_on:
            batches = [self._waiting.get()]
            # Most come in bursts, when something fails; the restart has the interpreter first.
            self._closing.wait(GATHERING)
            while not self._waiting.empty():
                batches.append(self._waiting.get())
            going_on = None not in batches
            lines = [line for batch in batches if batch is not None for line in batch]
            self._files.append(lines)
            for line in lines:
                _emit(line)

    def close(self) -> None:
        """Pass on what waits, and end."""
        with self._one_change:
            calls, reader = self._calls, self._reader
        if calls is not None and reader is not None:
            calls.close()
            reader.join()
            self._read(calls)
        with self._one_change:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._closing.set()
            self._waiting.put(None)
            thread.join()
            self._closing.clear()

    def last(
        self, deployment: str, *, level: LogLevel = "trace", since: float = 0.0
    ) -> tuple[LogLine, ...]:
        """Return what the ring of a deployment holds, the oldest line first.

        Args:
            deployment: Its name.
            level: The least level.
            since: The earliest moment, in seconds since 1970.
        """
        least = LEVELS[level]
        if self._calls is not None:
            self._read(self._calls)  # what was written before this call is seen by it
        with self._one_change:
            kept = tuple(self._rings.get(deployment, ()))
        return tuple(line for line in kept if line.severity >= least and line.at >= since)


def _emit(line: LogLine) -> None:
    logger = logging.getLogger(f"airssys.guest.{line.deployment.replace('/', '.')}")
    if not logger.isEnabledFor(line.severity):
        return
    extra: dict[str, Any] = {
        "namespace": line.namespace,
        "deployment": line.deployment,
        "actor_key": line.key,
        "revision": line.revision,
        "trace_id": line.trace_id,
        "guest_fields": line.fields,
        "stream": line.stream,
    }
    if line.lost:
        logger.warning("%d lines of the guest were dropped", line.lost, extra=extra)
    logger.log(line.severity, "%s", line.message, extra=extra)
