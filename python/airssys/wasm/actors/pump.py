"""Runs the message plane on the thread and on the clock of a loop that has virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from airssys.wasm._native import _core

__all__ = ["Pump"]


class Pump:
    """Gives the plane its turns: when something is ready, and when one of its timers is due.

    Args:
        plane: A plane made with `virtual=True`.
        loop: The loop, whose time is the plane's.
        followers: What the loop calls when its time moves.
    """

    def __init__(
        self,
        plane: _core.Plane,
        loop: asyncio.AbstractEventLoop,
        followers: list[Callable[[float], object]],
    ) -> None:
        self._plane = plane
        self._loop = loop
        self._followers = followers
        self._offset = plane.now - loop.time()
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        plane.on_ready(self._wake)
        followers.append(self._follow)

    def _follow(self, now: float) -> None:
        self._plane.advance(now + self._offset)

    def _wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        plane, loop = self._plane, self._loop
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
        self._followers.remove(self._follow)
        if self._timer is not None:
            self._timer.cancel()
