"""An event loop that is its own clock: it never sleeps, time jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, cast

from airssys.errors import AirsSysError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Deadlock", "VirtualLoop"]

#: Wall-clock seconds that a loop with open sockets listens before virtual time goes on.
SOCKET_PATIENCE = 0.02


class Deadlock(AirsSysError):
    """Nothing is ready, no timer is set, and nothing from outside is awaited."""

    default_code = "deadlock"


class _VirtualSelector(selectors.BaseSelector):
    """Moves the clock of its loop instead of waiting."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.loop: VirtualLoop | None = None

    def select(  # noqa: PLR0911 - each is one thing that may come first
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        loop = self.loop
        if loop is None or timeout == 0:
            return self._real.select(0)
        ready = self._real.select(0)
        if ready:
            return ready
        if loop.threads:  # time stands still while a thread works
            return self._real.select(None)
        if len(self._real.get_map()) > 1:  # more than the loop's own wake-up pipe
            ready = self._real.select(SOCKET_PATIENCE)
            if ready or timeout is None:
                return ready
        if loop.wake_idle():
            return []
        if timeout is None:
            loop.deadlocked()
            return []
        loop.advance_to_next()
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop on virtual time.

    Every timer of asyncio and anyio works; sleeping an hour takes microseconds. When nothing is
    left that could ever happen, `Deadlock` is raised out of the loop instead of waiting forever.
    Time stands still while a job runs in an executor of the loop; threads that others start are not
    known to it, so tests with `anyio.to_thread` belong on a real loop. So do tests with sockets,
    for which it listens 20 ms of wall-clock time before it moves on.

    Attributes:
        threads: Jobs that run in executors now.
        followers: Clocks that move with this one; called with the new time before anything that is
            due then.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self.threads = 0
        self.followers: list[Callable[[float], object]] = []
        self._idle: list[asyncio.Future[None]] = []
        selector = _VirtualSelector()
        super().__init__(selector)
        selector.loop = self
        self._explain: Callable[[], str] | None = None

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def advance_to_next(self) -> None:
        """Move the clock to the next timer."""
        scheduled = cast("list[asyncio.TimerHandle]", vars(self)["_scheduled"])
        if scheduled:
            self._now = max(self._now, scheduled[0].when())
            for follow in tuple(self.followers):
                follow(self._now)

    async def until_idle(self) -> None:
        """Wait until nothing is ready any more; time does not pass."""
        future: asyncio.Future[None] = self.create_future()
        self._idle.append(future)
        await future

    def wake_idle(self) -> bool:
        """Wake those who wait for the loop to be idle; False when nobody does."""
        waiting, self._idle = self._idle, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        return bool(waiting)

    def explain_deadlocks(self, explain: Callable[[], str]) -> None:
        """Have `explain` say who waits for what when the loop is deadlocked."""
        self._explain = explain

    def deadlocked(self) -> None:
        """Raise `Deadlock` out of the loop."""
        detail = "" if self._explain is None else self._explain()
        tasks = ", ".join(sorted(task.get_name() for task in asyncio.all_tasks(self)))
        raise Deadlock(
            f"deadlock: nothing is ready and no timer is set; tasks: {tasks or 'none'}{detail}",
            tasks=tasks,
        )

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Run in a thread; virtual time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002
        """Wait for the executor's threads in real time."""
        self.threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self.threads -= 1

    def _thread_done(self, _future: object) -> None:
        self.threads -= 1
