"""Operations that take too long are cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from airssys.osl.errors import OperationTimeout
from airssys.osl.middleware.chain import Call, Clock, Middleware, Proceed, middleware

if TYPE_CHECKING:
    from airssys.osl.result import Result

__all__ = ["timeout"]


class _TimeoutClock(Clock):
    """Moves the deadline on by as long as it was paused."""

    def __init__(self, limit: asyncio.Timeout) -> None:
        self._limit = limit
        self._left: float | None = None

    def pause(self) -> None:
        when = self._limit.when()
        if when is not None:
            self._left = when - asyncio.get_running_loop().time()
            self._limit.reschedule(None)

    def resume(self) -> None:
        if self._left is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._left)
            self._left = None


def timeout(seconds: float, *, priority: int = 80) -> Middleware:
    """Cancel an operation after `seconds` and raise `OperationTimeout`.

    The clock does not run while an approver is waited for. Work that has gone to a thread ends
    there by itself; its result is dropped.
    """

    @middleware(priority=priority)
    async def run_timeout(call: Call, proceed: Proceed) -> Result[object]:
        try:
            async with asyncio.timeout(seconds) as limit:
                return await proceed(call.with_clock(_TimeoutClock(limit)))
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise OperationTimeout(
                f"{call.operation.name} took longer than its {seconds:g} s; "
                "its effect may have happened in part",
                operation=call.operation.name,
                seconds=seconds,
            ) from error

    return run_timeout
