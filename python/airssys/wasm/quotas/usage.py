"""What was used, and is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping  # noqa: TC003 - read when decoding
from typing import TYPE_CHECKING

from airssys.wasm.quotas.ceilings import Ceilings

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Usage"]

#: What adds up over deployments; memory and instances are counted where their ceilings are.
_SUMS = (
    "calls",
    "messages",
    "failures",
    "cpu_seconds",
    "host_calls",
    "bytes_in",
    "bytes_out",
    "storage_bytes",
    "log_lines_dropped",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a deployment, a namespace or a host has used since the host was opened.

    Attributes:
        calls: Calls that ended, however they did. Those that a rate refused are in `refused`.
        messages: Messages that actors handled.
        failures: Calls and messages that ended without an answer.
        cpu_seconds: Processor time of guests.
        host_calls: Calls of host functions by guests.
        bytes_in: Bytes copied in: strings and lists of numbers in arguments, payloads of messages.
        bytes_out: Bytes copied out: the same in results and replies.
        memory: Bytes of linear memory that all instances hold now.
        memory_peak: The most that they held together.
        instances: Instances now.
        instances_peak: The most instances at a time.
        storage_bytes: Bytes of keys and values that are stored now.
        log_lines_dropped: Lines that guests logged faster than they may.
        refused: How often what was refused or ended, by the name of the limit.
        ceilings: The ceilings that hold now.
    """

    calls: int = 0
    messages: int = 0
    failures: int = 0
    cpu_seconds: float = 0.0
    host_calls: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    memory: int = 0
    memory_peak: int = 0
    instances: int = 0
    instances_peak: int = 0
    storage_bytes: int = 0
    log_lines_dropped: int = 0
    refused: Mapping[str, int] = dataclasses.field(default_factory=dict)
    ceilings: Ceilings = dataclasses.field(default_factory=Ceilings)

    @classmethod
    def sums(cls, parts: Iterable[Usage]) -> dict[str, int | float]:
        """Return what adds up of several, by name."""
        parts = tuple(parts)
        return {name: sum(getattr(each, name) for each in parts) for name in _SUMS}
