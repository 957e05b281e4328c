"""Awaitables of host functions: waited for in calls that block, and run for those who called."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from airssys._callers import callers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from airssys.wasm._native import Callers, KillWatch

__all__ = ["run_to_end", "served_for"]


class _Served(Coroutine[Any, Any, Any]):
    """A coroutine each step of which knows for whom it works, and nothing else does."""

    __slots__ = ("_coroutine", "_served")

    def __init__(self, served: Callers, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._served = served
        self._coroutine = coroutine

    def send(self, value: Any, /) -> Any:
        token = callers.set(self._served)
        try:
            return self._coroutine.send(value)
        finally:
            callers.reset(token)

    def throw(self, *error: Any) -> Any:
        token = callers.set(self._served)
        try:
            return self._coroutine.throw(*error)
        finally:
            callers.reset(token)

    def close(self) -> None:
        token = callers.set(self._served)
        try:
            self._coroutine.close()
        finally:
            callers.reset(token)

    def __await__(self) -> _Served:  # type: ignore[override]
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.send(None)


def served_for(served: Callers, awaitable: Awaitable[object]) -> Awaitable[object]:
    """Return an awaitable whose code runs for those who called.

    Args:
        served: For whom the host function works.
        awaitable: What it returned; what is no coroutine runs no code of its own.
    """
    return _Served(served, awaitable) if asyncio.iscoroutine(awaitable) else awaitable


def run_to_end(
    awaitable: Awaitable[object], seconds: float, watch: KillWatch | None = None
) -> object:
    """Run `awaitable` on an event loop of its own, for `seconds` at most.

    Args:
        awaitable: What the host function returned.
        seconds: How long the call may still take.
        watch: Tells when the call's revision ends its calls.

    Raises:
        TimeoutError: When the time is over, or the revision's is.
        RuntimeError: In a thread whose event loop is running: it cannot wait there.
    """

    async def wait() -> object:
        async with asyncio.timeout(seconds) as scope:
            if watch is not None:
                watch.start(lambda _told: scope.reschedule(0))
            return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    if asyncio.iscoroutine(awaitable):
        awaitable.close()
    raise RuntimeError(
        "an async host function was reached by a blocking call on an event loop's thread; "
        "use `await function.call_async(...)` there"
    )
