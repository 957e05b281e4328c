"""Counts and durations per operation."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airssys.osl.errors import AccessDenied
from airssys.osl.middleware.chain import Call, Proceed, middleware

if TYPE_CHECKING:
    from airssys.osl.result import Result

__all__ = ["Metrics", "OperationStatistics"]

# Upper bounds in seconds: 1 us to about 67 s, doubling.
_BOUNDS = tuple(1e-6 * 2**n for n in range(27))


@dataclass(frozen=True, slots=True)
class OperationStatistics:
    """What was seen of one operation since the start.

    Attributes:
        succeeded: Runs that gave a result.
        denied: Runs that the gate refused.
        failed: Runs that ended in another error or were cancelled.
        seconds: Total time of all runs.
        histogram: Pairs of upper bound in seconds and the number of runs at or below it and above
            the bound before; the last bound is infinite.
    """

    succeeded: int
    denied: int
    failed: int
    seconds: float
    histogram: tuple[tuple[float, int], ...]


class _Counters:
    __slots__ = ("buckets", "denied", "failed", "seconds", "succeeded")

    def __init__(self) -> None:
        self.succeeded = self.denied = self.failed = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(_BOUNDS) + 1)


class Metrics:
    """A middleware that counts; give it to a pipeline, read it with `statistics()`.

    The number of series is bounded by the number of operations defined in the program: nothing
    that a caller passes in becomes a label.
    """

    def __init__(self) -> None:
        self._counters: dict[str, _Counters] = {}

    @middleware(priority=100)
    async def __call__(self, call: Call, proceed: Proceed) -> Result[object]:
        """Run the operation and count how it ended."""
        counters = self._counters.get(call.operation.name)
        if counters is None:
            counters = self._counters.setdefault(call.operation.name, _Counters())
        begun = time.perf_counter()
        outcome = "failed"
        try:
            result = await proceed(call)
            outcome = "succeeded"
        except AccessDenied:
            outcome = "denied"
            raise
        else:
            return result
        finally:
            took = time.perf_counter() - begun
            setattr(counters, outcome, getattr(counters, outcome) + 1)
            counters.seconds += took
            counters.buckets[_bucket(took)] += 1

    def statistics(self) -> dict[str, OperationStatistics]:
        """Return the counts by operation name."""
        return {
            name: OperationStatistics(
                counters.succeeded,
                counters.denied,
                counters.failed,
                counters.seconds,
                tuple(zip((*_BOUNDS, float("inf")), counters.buckets, strict=True)),
            )
            for name, counters in self._counters.items()
        }


def _bucket(seconds: float) -> int:
    # The bounds double, so the bucket is the bit length of the duration in microseconds.
    micros = seconds * 1e6
    return 0 if micros <= 1 else min(int(-(-micros // 1) - 1).bit_length(), len(_BOUNDS))
