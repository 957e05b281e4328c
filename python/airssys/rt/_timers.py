"""Timers that send a message to their actor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys._callers import callers
from airssys.rt._mailbox import Extras
from airssys.rt.errors import InvalidSpec, MailboxFull
from airssys.rt.messages import Priority

if TYPE_CHECKING:
    import asyncio

    from airssys.rt._cell import Cell

__all__ = ["Timer", "Timers"]


class Timer:
    """One timer. It queues one tick at a time; ticks that find the last one queued are missed.

    Attributes:
        missed: Ticks that were not sent because the last one was still queued or nothing fit.
        pending: Whether a tick is queued now.
    """

    __slots__ = (
        "_cell",
        "_due",
        "_handle",
        "_interval",
        "_message",
        "key",
        "missed",
        "pending",
        "priority",
    )

    def __init__(
        self,
        cell: Cell,
        key: object,
        delay: float,
        interval: float | None,
        message: object,
        priority: Priority,
    ) -> None:
        self._cell = cell
        self.key = key
        self._interval = interval
        self._message = message
        self.priority = priority
        self.missed = 0
        self.pending = False
        dispatcher = cell.dispatcher
        self._due = dispatcher.clock() + delay
        self._handle: asyncio.TimerHandle | None = dispatcher.loop.call_at(self._due, self._fire)

    @property
    def active(self) -> bool:
        """Whether another tick will come."""
        return self._handle is not None

    def _fire(self) -> None:
        cell = self._cell
        self._handle = None
        if self._interval is None:
            self._forget()
        else:
            now = cell.dispatcher.clock()
            self._due += self._interval
            while self._due <= now:  # the loop was held up; those ticks will never come
                self.missed += 1
                cell.details().missed_ticks += 1
                self._due += self._interval
            self._handle = cell.dispatcher.loop.call_at(self._due, self._fire)
        if self.pending:
            self.missed += 1
            cell.details().missed_ticks += 1
            return
        self.pending = True
        try:
            # A timer runs in the context in which it was set, and so for those it was set for.
            extra = Extras(place=self, priority=self.priority, callers=callers.get())
            cell.put(self._message, cell, extra, self.priority)
        except MailboxFull:
            self.pending = False
            self.missed += 1
            cell.details().missed_ticks += 1

    def left(self) -> None:
        """The tick is queued no longer."""
        self.pending = False

    def cancel(self) -> None:
        """Send no more; a tick that is queued still comes."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._forget()

    def _forget(self) -> None:
        timers = self._cell.details().timers
        if timers is not None and timers.get(self.key) is self:
            del timers[self.key]


class Timers:
    """The timers of one actor: `once`, `every`, by key. They end with the incarnation."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def once(
        self,
        delay: float,
        message: object,
        *,
        key: object = None,
        priority: Priority = Priority.NORMAL,
    ) -> Timer:
        """Send `message` to this actor in `delay` seconds.

        Args:
            delay: Seconds, 0 or more.
            message: What arrives.
            key: A timer of the same key is cancelled first.
            priority: The lane of the tick.
        """
        return self._add(delay, None, message, key, priority)

    def every(
        self,
        interval: float,
        message: object,
        *,
        key: object = None,
        first: float | None = None,
        priority: Priority = Priority.NORMAL,
    ) -> Timer:
        """Send `message` to this actor every `interval` seconds.

        Args:
            interval: Seconds, above 0.
            message: What arrives each time.
            key: A timer of the same key is cancelled first.
            first: Seconds until the first tick, `interval` by default.
            priority: The lane of the ticks.
        """
        if interval <= 0:
            raise InvalidSpec(f"every({interval!r}): expected seconds above 0", interval=interval)
        return self._add(interval if first is None else first, interval, message, key, priority)

    def _add(
        self,
        delay: float,
        interval: float | None,
        message: object,
        key: object,
        priority: Priority,
    ) -> Timer:
        if delay < 0:
            raise InvalidSpec(f"a delay of {delay!r} s is negative", delay=delay)
        more = self._cell.details()
        if more.timers is None:
            more.timers = {}
        if key is None:
            key = object()
        elif key in more.timers:
            more.timers[key].cancel()
        timer = Timer(self._cell, key, delay, interval, message, priority)
        more.timers[key] = timer
        return timer

    def cancel(self, key: object) -> bool:
        """Cancel the timer of that key; False when there is none."""
        timer = (self._cell.details().timers or {}).get(key)
        if timer is None:
            return False
        timer.cancel()
        return True

    def active(self, key: object) -> bool:
        """Whether a timer of that key is running."""
        return key in (self._cell.details().timers or {})
