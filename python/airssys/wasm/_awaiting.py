"""Awaitables of host functions in calls that block."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["run_to_end"]


def run_to_end(awaitable: Awaitable[object], seconds: float) -> object:
    """Run `awaitable` on an event loop of its own, for `seconds` at most.

    Raises:
        TimeoutError: When the time is over.
        RuntimeError: In a thread whose event loop is running: it cannot wait there.
    """

    async def wait() -> object:
        async with asyncio.timeout(seconds):
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
