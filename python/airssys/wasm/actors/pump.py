"""Runs the message plane on the thread and on the clock of a loop that has virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from airssys.wasm._native import _core

__all__ = ["Pump"]


class Pump:
    """Gives the plane its turns: when something is ready, and when one of its timers is due.

    Args:
        plane: A plane made with `virtual=True`.
        loop: The loop, whose time is the plane's.
    """

    def __init__(self, plane: _core.Plane, loop: asyncio.AbstractEventLoop) -> None:
        self._plane = plane
        self._loop = loop
        self._offset = plane.now - loop.time()
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        plane.on_ready(self._wake)

    def _wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        plane, loop = self._plane, self._loop
        plane.advance(loop.time() + self._offset)
        plane.run()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = plane.next_timer()
        if due is not None:
            self._timer = loop.call_at(due - self._offset, self._turn)

    def close(self) -> None:
        """Give no more turns."""
        self._plane.on_ready(None)
        if self._timer is not None:
            self._timer.cancel()
