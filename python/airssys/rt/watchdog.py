"""A thread that notices handlers which hold the loop for too long."""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

import ctypes
import sys
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING

from airssys.rt.errors import RuntimeFailure, SystemStopped
from airssys.rt.events import Overdue, logger

if TYPE_CHECKING:
    from airssys.rt._cell import Cell
    from airssys.rt._dispatcher import Dispatcher

__all__ = ["Overrun", "Watchdog"]


class Overrun(RuntimeFailure):
    """Raised in a handler that the watchdog interrupts."""

    default_code = "overrun"

    def __init__(self) -> None:
        super().__init__("the handler held the thread beyond its budget and was interrupted")


class Watchdog:
    """Reports steps that hold the thread of the system for longer than their budget.

    A handler that blocks delays every actor on the loop; only another thread can say so. It works
    on wall-clock time.

    Attributes:
        budget: Seconds for one step, unless the actor has its own.
        interrupt: Also raise `Overrun` in the handler. Python code only: a call into C ends first.
        reports: The last hundred reports.
    """

    def __init__(
        self, dispatcher: Dispatcher, *, budget: float = 1.0, interrupt: bool = False
    ) -> None:
        self.budget = budget
        self.interrupt = interrupt
        self.reports: deque[Overdue] = deque(maxlen=100)
        self.reported = threading.Event()
        self._dispatcher = dispatcher
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="airssys-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        seen: tuple[Cell, int] | None = None
        since = 0.0
        reported = False
        while not self._stop.wait(self._period()):
            cell = self._dispatcher.current
            now = time.monotonic()
            if cell is None:
                seen = None
                continue
            step = (cell, cell.handled)
            if step != seen:
                seen, since, reported = step, now, False
                continue
            budget = cell.options.budget or self.budget
            if now - since >= budget and not reported:
                reported = True
                self._report(cell, now - since)

    def _period(self) -> float:
        return max(0.005, self.budget / 4)

    def _report(self, cell: Cell, seconds: float) -> None:
        frame = sys._current_frames().get(self._dispatcher.thread)
        stack = "" if frame is None else "".join(traceback.format_stack(frame))
        report = Overdue(cell.ref, seconds, stack)
        self.reports.append(report)
        logger.warning("%s has held the thread for %.3f s:\n%s", cell.path, seconds, stack)
        try:
            self._dispatcher.system.gateway.hand_over(
                lambda: self._dispatcher.system.events.publish(report)
            )
        except SystemStopped:
            return
        if self.interrupt and self._dispatcher.current is cell:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._dispatcher.thread), ctypes.py_object(Overrun)
            )
        self.reported.set()
