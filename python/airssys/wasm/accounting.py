"""What the calls of a deployment used and came to."""

from __future__ import annotations

import dataclasses

__all__ = ["DeploymentStatistics", "RevisionStatistics"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RevisionStatistics:
    """The calls of one revision since its host was opened.

    Attributes:
        revision: The number of the revision.
        calls: Calls that ended, however they did; messages that were handled, of actors.
        failures: Calls that ended without an answer: the sum of the next four. An answer that is
            the error of a WIT `result` is an answer.
        traps: The guest trapped, or ended itself.
        limits: The guest exceeded a limit.
        cancelled: The caller went away, or the drain deadline passed.
        other_failures: A host function raised, or no instance could be had.
        in_flight: Calls that have begun and not ended.
        cpu_seconds: Processor time of guests.
        host_calls: Calls of host functions by guests.
        bytes_in: Bytes of strings and lists of numbers in arguments.
        bytes_out: Bytes of strings and lists of numbers in results.
        instances: Instances that are kept for further calls, or live as actors.
        memory: Bytes of linear memory of those instances.
        memory_peak: The most bytes of linear memory that one instance held.
        p50: Seconds that half of the calls did not exceed, to one part in 16; 0 without calls. A
            revision that went cold and is live again begins anew.
        p99: Seconds that 99 of 100 calls did not exceed; as `p50`.
    """

    revision: int
    calls: int = 0
    failures: int = 0
    traps: int = 0
    limits: int = 0
    cancelled: int = 0
    other_failures: int = 0
    in_flight: int = 0
    cpu_seconds: float = 0.0
    host_calls: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    instances: int = 0
    memory: int = 0
    memory_peak: int = 0
    p50: float = 0.0
    p99: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentStatistics:
    """The calls of a deployment since its host was opened, over all revisions.

    Attributes:
        calls: Calls that ended, however they did; messages that were handled, of actors.
        failures: Calls that ended without an answer.
        in_flight: Calls that have begun and not ended.
        cpu_seconds: Processor time of guests.
        host_calls: Calls of host functions by guests.
        bytes_in: Bytes of strings and lists of numbers in arguments.
        bytes_out: Bytes of strings and lists of numbers in results.
        memory: Bytes of linear memory of the instances that are kept for further calls.
        memory_peak: The most bytes of linear memory that one instance held.
        revisions: The same for each revision that took calls, the first one first.
    """

    calls: int
    failures: int
    in_flight: int
    cpu_seconds: float
    host_calls: int
    bytes_in: int
    bytes_out: int
    memory: int
    memory_peak: int
    revisions: tuple[RevisionStatistics, ...]

    @classmethod
    def over(cls, revisions: tuple[RevisionStatistics, ...]) -> DeploymentStatistics:
        """Add the revisions up."""
        return cls(
            calls=sum(each.calls for each in revisions),
            failures=sum(each.failures for each in revisions),
            in_flight=sum(each.in_flight for each in revisions),
            cpu_seconds=sum(each.cpu_seconds for each in revisions),
            host_calls=sum(each.host_calls for each in revisions),
            bytes_in=sum(each.bytes_in for each in revisions),
            bytes_out=sum(each.bytes_out for each in revisions),
            memory=sum(each.memory for each in revisions),
            memory_peak=max((each.memory_peak for each in revisions), default=0),
            revisions=revisions,
        )
