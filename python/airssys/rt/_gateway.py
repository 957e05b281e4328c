"""The way into a system from other threads: one bounded queue, one wake-up per batch."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

from airssys.rt.errors import MailboxFull, SystemStopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.rt._dispatcher import Dispatcher

__all__ = ["Gateway"]


class Gateway:
    """Takes calls from any thread and makes them on the loop of the system.

    Attributes:
        capacity: Calls that may wait; more raise `MailboxFull`.
        passed: Calls that went through.
        refused: Calls that found no room.
    """

    def __init__(self, dispatcher: Dispatcher, capacity: int = 10_000) -> None:
        self.capacity = capacity
        self.passed = 0
        self.refused = 0
        self._dispatcher = dispatcher
        self._calls: deque[Callable[[], None]] = deque()
        self._calls_lock = Lock()
        self._awake = False

    def hand_over(self, call: Callable[[], None]) -> None:
        """Make `call` on the loop of the system, soon.

        Raises:
            MailboxFull: Too many wait already.
            SystemStopped: The loop is closed.
        """
        dispatcher = self._dispatcher
        if dispatcher.forked:
            raise dispatcher.wrong_thread()
        with self._calls_lock:
            if len(self._calls) >= self.capacity:
                self.refused += 1
                raise MailboxFull(
                    f"{self.capacity} calls from other threads wait for actor system "
                    f"{dispatcher.system.name!r} already; slow down",
                    capacity=self.capacity,
                )
            self._calls.append(call)
            awake, self._awake = self._awake, True
        if not awake:
            try:
                dispatcher.loop.call_soon_threadsafe(self._drain, context=dispatcher.turn_context)
            except RuntimeError as error:
                with self._calls_lock:
                    self._calls.clear()
                    self._awake = False
                raise SystemStopped(
                    f"the event loop of actor system {dispatcher.system.name!r} is closed"
                ) from error

    def _drain(self) -> None:
        for _ in range(1000):
            with self._calls_lock:
                if not self._calls:
                    self._awake = False
                    return
                call = self._calls.popleft()
            self.passed += 1
            call()
        self._dispatcher.loop.call_soon(self._drain, context=self._dispatcher.turn_context)
