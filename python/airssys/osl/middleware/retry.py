"""Operations that failed for a passing reason are tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys.osl.middleware.actions import CONTINUE, Action, Backoff, Retry, hooks

if TYPE_CHECKING:
    from airssys.osl.middleware.chain import Call, Middleware

__all__ = ["PASSING", "retry"]

#: Errors that often pass by themselves.
PASSING: tuple[type[Exception], ...] = (
    BlockingIOError,
    InterruptedError,
    ConnectionError,
    TimeoutError,
)


def retry(
    attempts: int = 3,
    *,
    on: tuple[type[Exception], ...] = PASSING,
    backoff: Backoff | None = None,
    priority: int = 60,
) -> Middleware:
    """Try again on an error in `on`, at most `attempts` times in all, pausing as `backoff` says.

    Each attempt is decided and recorded by itself. A refusal is never retried unless `on` names it.
    """
    again = Retry(attempts, backoff or Backoff())

    async def on_error(_: Call, error: Exception) -> Action:
        return again if isinstance(error, on) else CONTINUE

    return hooks(error=on_error, priority=priority)
