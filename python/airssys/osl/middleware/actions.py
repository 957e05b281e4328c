"""Middleware written as three hooks that answer with an action each."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from msgspec.structs import replace

from airssys.osl.errors import DefinitionError
from airssys.osl.middleware.chain import Call, Middleware, Proceed, middleware
from airssys.osl.operation import Operation
from airssys.osl.result import Result

__all__ = [
    "Action",
    "After",
    "Backoff",
    "Before",
    "Continue",
    "OnError",
    "Replace",
    "Retry",
    "Stop",
    "Suppress",
    "hooks",
]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing, jittered pauses between attempts.

    The pause before retry n is uniform in `[minimum, min(maximum, minimum * 2**n)]` seconds, a pure
    function of `seed` and n, so that a run can be repeated.
    """

    minimum: float = 0.05
    maximum: float = 5.0
    seed: int = 0

    def pause(self, retry: int) -> float:
        """Return the seconds to wait before retry number `retry`, counted from 1."""
        ceiling = max(self.minimum, min(self.maximum, self.minimum * 2.0 ** min(retry, 60)))
        return random.Random(f"{self.seed}:{retry}").uniform(self.minimum, ceiling)  # noqa: S311


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on unchanged: do the operation, give the result, raise the error."""


@dataclass(frozen=True, slots=True)
class Replace:
    """Go on with something else.

    Before: another operation, which is decided like any other. After: another output. On an error:
    another exception to raise.
    """

    by: object


@dataclass(frozen=True, slots=True)
class Suppress:
    """Do not do the operation (before), or swallow the error; answer `output` instead."""

    output: object = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Do the operation again (after, on an error), at most `attempts` times in all."""

    attempts: int = 3
    backoff: Backoff = Backoff()


@dataclass(frozen=True, slots=True)
class Stop:
    """End the chain by raising `error` at once."""

    error: Exception


Action: TypeAlias = "Continue | Replace | Suppress | Retry | Stop"
Before: TypeAlias = Callable[[Call], Awaitable[Action]]
After: TypeAlias = Callable[[Call, "Result[object]"], Awaitable[Action]]
OnError: TypeAlias = Callable[[Call, Exception], Awaitable[Action]]

CONTINUE = Continue()


async def _continue(*_: object) -> Action:
    return CONTINUE


def hooks(  # noqa: C901 - three hooks of up to five answers each, in one place
    *,
    before: Before = _continue,
    after: After = _continue,
    error: OnError = _continue,
    priority: int = 0,
) -> Middleware:
    """Make a middleware of up to three hooks.

    Args:
        before: Asked before the operation: `Continue`, `Replace(operation)`, `Suppress(output)`
            or `Stop(error)`.
        after: Asked with the result: `Continue`, `Replace(output)`, `Retry(...)` or `Stop(error)`.
        error: Asked with the exception: `Continue`, `Replace(exception)`, `Suppress(output)`,
            `Retry(...)` or `Stop(error)`.
        priority: The higher, the further out.

    Raises:
        DefinitionError: When it runs, if a hook answers with an action that has no meaning there.
    """

    @middleware(priority=priority)
    async def run_hooks(  # noqa: C901, PLR0912 - as above
        call: Call, proceed: Proceed
    ) -> Result[object]:
        match await before(call):
            case Continue():
                pass
            case Replace(by=operation):
                call = call.with_operation(_as_operation(operation))
            case Suppress(output=output):
                return Result(output, call.operation.created, 0.0, metadata={"suppressed": True})
            case Stop(error=stop):
                raise stop
            case other:
                raise _meaningless(other, "before")
        attempt = 1
        while True:
            try:
                result = await proceed(call)
            except Exception as failure:
                match await error(call, failure):
                    case Continue():
                        raise
                    case Replace(by=BaseException() as other_error):
                        raise other_error from failure
                    case Suppress(output=output):
                        return Result(
                            output, call.operation.created, 0.0, metadata={"suppressed": failure}
                        )
                    case Stop(error=stop):
                        raise stop from failure
                    case Retry() as retry:
                        if attempt >= retry.attempts:
                            raise
                    case other:
                        raise _meaningless(other, "error") from failure
            else:
                match await after(call, result):
                    case Continue():
                        return result
                    case Replace(by=output):
                        return replace(result, output=output)
                    case Stop(error=stop):
                        raise stop
                    case Retry() as retry:
                        if attempt >= retry.attempts:
                            return result
                    case other:
                        raise _meaningless(other, "after")
            await asyncio.sleep(retry.backoff.pause(attempt))
            attempt += 1

    return run_hooks


def _as_operation(value: object) -> Operation[object]:
    if not isinstance(value, Operation):
        raise _meaningless(Replace(value), "before")
    return value


def _meaningless(action: object, hook: str) -> DefinitionError:
    return DefinitionError(
        f"the `{hook}` hook answered {action!r}, which has no meaning there; "
        "see airssys.osl.middleware.hooks for the actions of each hook",
        hook=hook,
    )
