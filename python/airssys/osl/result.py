"""What an operation gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Result"]

T = TypeVar("T", covariant=True)  # noqa: PLC0105 - a result only gives its output out


# A struct is a record like a frozen dataclass, made in a sixth of the time, once per operation.
class Result(Struct, Generic[T], frozen=True):
    """The outcome of an operation that succeeded.

    Attributes:
        output: What was asked for; its type belongs to the operation.
        started: UTC seconds when the executor began.
        duration: Seconds on the monotonic clock that the executor took.
        exit_code: Of the program, where the operation ran one to its end.
        metadata: Facts that executors and middleware add, such as `attempts`.
    """

    output: T
    started: float
    duration: float
    exit_code: int | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def finished(self) -> float:
        """UTC seconds when the executor ended."""
        return self.started + self.duration
