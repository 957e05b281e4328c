"""A token bucket per principal."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from airssys.osl.errors import RateLimited
from airssys.osl.middleware.chain import Call, Middleware, Proceed, middleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.osl.result import Result

__all__ = ["rate_limit"]

# Principals beyond this are forgotten, the longest idle first; a forgotten one starts with a full
# bucket, which is what a principal that idle has anyway.
_REMEMBERED = 10_000


def rate_limit(
    per_second: float,
    *,
    burst: int | None = None,
    clock: Callable[[], float] = time.monotonic,
    priority: int = 90,
) -> Middleware:
    """Let each principal start `per_second` operations on average, `burst` at once.

    Args:
        per_second: Tokens that flow into the bucket of a principal per second.
        burst: Size of the bucket; by default one second's worth, at least 1.
        clock: Monotonic seconds.
        priority: The higher, the further out.

    Raises:
        RateLimited: When it runs and the bucket is empty; nothing was attempted.
    """
    if per_second <= 0:
        raise ValueError(f"per_second is {per_second}; expected a number above 0")
    size = float(burst if burst is not None else max(1, int(per_second)))
    buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @middleware(priority=priority)
    async def run_rate_limit(call: Call, proceed: Proceed) -> Result[object]:
        name = call.context.principal.name
        now = clock()
        tokens, seen = buckets.get(name, (size, now))
        tokens = min(size, tokens + (now - seen) * per_second)
        if tokens < 1:
            wait = (1 - tokens) / per_second
            raise RateLimited(
                f"{name!r} has used up its {per_second:g} operations per second; "
                f"try again in {wait:.3f} s",
                principal=name,
                retry_after=wait,
            )
        buckets[name] = (tokens - 1, now)
        buckets.move_to_end(name)
        if len(buckets) > _REMEMBERED:
            buckets.popitem(last=False)
        return await proceed(call)

    return run_rate_limit
