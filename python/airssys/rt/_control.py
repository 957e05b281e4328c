"""Lifecycle in progress: a coroutine of the runtime, poked whenever something has changed."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from airssys.rt._dispatcher import Dispatcher
    from airssys.rt._request import Completion
    from airssys.rt.messages import Reason

__all__ = ["Control", "Drain", "Ending", "pause"]


@dataclass(slots=True)
class Ending:
    """How an incarnation ends.

    Attributes:
        reason: Why, as monitors and links will see it.
        error: What the handler raised, when it did; `failed` is then called first.
        message: What the handler was given.
        kill: Skip hooks, cancel handlers, kill children.
        cancel: Cancel handlers but run the hooks (a linked actor failed).
        final: The address ends too.
        hold: Do not restart alone: the supervisor restarts a group.
        delay: Seconds before the restart.
        renewal: Another incarnation is wanted, and nothing has failed: supervision does not count
            it. Settled when it runs, or fails with why it does not.
    """

    reason: Reason
    error: BaseException | None = None
    message: object = None
    kill: bool = False
    cancel: bool = False
    final: bool = False
    hold: bool = False
    delay: float = 0.0
    renewal: Completion[None] | None = None


class Drain:
    """Marks the end of a queue that is to be handled before a stop.

    Args:
        done: What to do when it comes up.
    """

    __slots__ = ("done",)

    def __init__(self, done: Callable[[], None]) -> None:
        self.done = done


@types.coroutine
def pause() -> Generator[None, None, None]:
    """Wait until the control is poked; conditions are looked at again after each poke."""
    yield


class Control:
    """Drives one lifecycle coroutine, which only ever waits by `pause`."""

    __slots__ = ("_coroutine", "_dispatcher", "_queued", "over")

    def __init__(self, dispatcher: Dispatcher, coroutine: Coroutine[Any, Any, None]) -> None:
        self._dispatcher = dispatcher
        self._coroutine = coroutine
        self._queued = False
        self.over = False

    def resume(self) -> None:
        """Look at the conditions again."""
        self._queued = False
        if self.over:
            return
        try:
            self._coroutine.send(None)
        except StopIteration:
            self.over = True

    def poke(self) -> None:
        """Something has changed: have the coroutine look, soon."""
        if not self._queued and not self.over:
            self._queued = True
            self._dispatcher.enqueue(self)

    def drop(self) -> None:
        """End it where it stands."""
        self.over = True
        self._coroutine.close()
