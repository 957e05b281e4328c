"""A circuit breaker: stop calling what keeps failing, try again after a while."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from airssys.rt.errors import BreakerOpen, InvalidSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Breaker", "BreakerState"]

T = TypeVar("T")

BreakerState: TypeAlias = Literal["closed", "open", "half-open"]


class Breaker:
    """Guards calls: `await breaker.call(lambda: ref.ask(Query(), 1.0))`.

    Attributes:
        state: `closed`: calls go through; `open`: they raise `BreakerOpen` at once; `half-open`:
            one goes through to see.
        refused: Calls that were not made.
    """

    def __init__(self, name: str, *, failures: int = 5, reset_after: float = 30.0) -> None:
        if failures < 1 or reset_after <= 0:
            raise InvalidSpec(
                f"breaker {name!r}: failures={failures}, reset_after={reset_after}: expected at "
                "least 1 failure and more than 0 seconds"
            )
        self.name = name
        self.refused = 0
        self._limit = failures
        self._reset_after = reset_after
        self._failures = 0
        self._opened: float | None = None
        self._trying = False

    @property
    def state(self) -> BreakerState:
        """Whether calls go through."""
        if self._opened is None:
            return "closed"
        now = asyncio.get_running_loop().time()
        return "half-open" if now - self._opened >= self._reset_after else "open"

    async def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Make a call and return its result, unless the breaker is open.

        Raises:
            BreakerOpen: The call was not made. Cancelling a call counts as neither.
        """
        state = self.state
        if state == "open" or (state == "half-open" and self._trying):
            self.refused += 1
            raise BreakerOpen(
                f"breaker {self.name!r} is open after {self._failures} failures in a row; "
                f"it tries again after {self._reset_after} s",
                name=self.name,
            )
        probing = state == "half-open"
        self._trying = self._trying or probing
        try:
            result = await function()
        except Exception:
            self._failures += 1
            if probing or self._failures >= self._limit:
                self._opened = asyncio.get_running_loop().time()
            raise
        else:
            self._failures = 0
            self._opened = None
            return result
        finally:
            if probing:
                self._trying = False
