"""What guests log: to `logging`, to a ring for each deployment, and to files."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from airssys.wasm.actors.log_files import LogFiles
from airssys.wasm.actors.log_line import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from airssys.wasm.actors.log_line import LogLevel, LogLine

__all__ = ["GuestLogs"]

#: Lines that are kept in memory for each deployment.
RING: Final = 1000


class GuestLogs:
    """Takes the lines of all guests of a host.

    Each goes to the logger `airssys.guest.<namespace>.<name>` with the attributes `namespace`,
    `deployment`, `actor_key`, `revision`, `trace_id` and `guest_fields`; to the ring of its
    deployment; and to its file. Safe to use from several threads.

    Args:
        directory: Where the files are.
    """

    def __init__(self, directory: Path) -> None:
        self._files = LogFiles(directory)
        self._rings: dict[str, deque[LogLine]] = {}
        self._one_change = threading.Lock()

    def take(self, lines: Iterable[LogLine]) -> None:
        """Pass lines on, in their order."""
        lines = tuple(lines)
        with self._one_change:
            for line in lines:
                ring = self._rings.get(line.deployment)
                if ring is None:
                    ring = self._rings[line.deployment] = deque(maxlen=RING)
                ring.append(line)
        self._files.append(lines)
        for line in lines:
            _emit(line)

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
