"""What runs in asyncio tasks of its own while a guest waits for it.

That are sources of streams and futures, and host functions that read them: the guest goes on
meanwhile, so that they may wait for what it writes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

__all__ = ["Pump", "run_apart"]

_CANCELLED = "the task that this came from was cancelled"


class Deliver(Protocol):
    """Hands a result, or else an exception, to the guest that waits."""

    def __call__(self, result: object, error: Exception | None, /) -> None: ...


def run_apart(awaitable: Awaitable[object], deliver: Deliver) -> asyncio.Task[None]:
    """Await `awaitable` in a task and deliver what it comes to."""

    async def run() -> None:
        try:
            result = await awaitable
        except asyncio.CancelledError:
            deliver(None, RuntimeError(_CANCELLED))
            raise
        except Exception as error:  # noqa: BLE001  it goes on to the guest's caller
            deliver(None, error)
        else:
            deliver(result, None)

    return asyncio.get_running_loop().create_task(run())


class Pump:
    """Takes items of an async iterator when a guest wants them.

    One task runs all of the iterator, which timeouts and task groups in it rely on.
    """

    __slots__ = ("_deliver", "_iterator", "_task", "_wanted")

    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._iterator = iterator
        self._deliver: Deliver | None = None
        self._wanted: asyncio.Future[None] | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def want(self, deliver: Deliver) -> None:
        """Take the next item.

        Raises:
            RuntimeError: If the event loop that the iterator ran on is closed or another one.
        """
        loop = asyncio.get_running_loop()
        if self._task.done() or self._task.get_loop() is not loop:
            raise RuntimeError(
                "an async iterable was read on another event loop first; "
                "a guest can read it on that one only"
            )
        self._deliver = deliver
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    def stop(self) -> None:
        """Take no more: the iterator is closed in its task."""
        self._deliver = None
        if not self._task.get_loop().is_closed():
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while True:
                if self._deliver is None:
                    self._wanted = asyncio.get_running_loop().create_future()
                    await self._wanted
                if not await self._take():
                    return
        finally:
            close = getattr(self._iterator, "aclose", None)
            if close is not None:
                await close()

    async def _take(self) -> bool:
        """Deliver one item. False if there will be no more."""
        try:
            item = await anext(self._iterator)
        except asyncio.CancelledError:
            self._handed(None, RuntimeError(_CANCELLED))
            raise
        except Exception as error:  # noqa: BLE001  it goes on to the guest's caller; the end is one
            self._handed(None, error)
            return False
        self._handed(item, None)
        return True

    def _handed(self, item: object, error: Exception | None) -> None:
        deliver, self._deliver = self._deliver, None
        if deliver is not None:
            deliver(item, error)
