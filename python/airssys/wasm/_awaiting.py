"""Awaitables of host functions in calls that block."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from airssys.wasm._native import KillWatch

__all__ = ["run_to_end"]


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
