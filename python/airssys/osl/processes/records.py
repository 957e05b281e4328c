"""Limits, confinement and outcome of child processes."""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Confinement", "ExitStatus", "ProcessLimits", "ProcessOutput"]


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """Resource limits of a child, each inherited by what it starts; `None` leaves one as it is.

    Attributes:
        cpu: Seconds of processor time.
        memory: Bytes of address space.
        files: Open descriptors.
        processes: Processes of the user the child runs as, those outside the tree included.
        file_size: Bytes of the largest file it may write.
        core: Bytes of a core dump.
    """

    cpu: int | None = None
    memory: int | None = None
    files: int | None = 1024
    processes: int | None = None
    file_size: int | None = None
    core: int | None = 0

    def as_mapping(self) -> dict[str, int]:
        """Return the limits that are set."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the kernel holds a child to, beside the file grants of its principal.

    No-new-privileges, a new session, a scrubbed environment and closed descriptors are always in
    force.

    Attributes:
        connect_ports: TCP ports it may connect to. Each needs the right to `use` the custom
            capability `osl/child/connect/PORT`.
        bind_ports: TCP ports it may listen on; likewise `osl/child/bind/PORT`.
        required: Refuse to start the child where the kernel lacks Landlock. Otherwise it runs
            without, and the audit record says so.
    """

    connect_ports: tuple[int, ...] = ()
    bind_ports: tuple[int, ...] = ()
    required: bool = True


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended.

    Attributes:
        code: Its exit code, or the negative number of the signal that ended it.
    """

    code: int

    @property
    def signal(self) -> signals.Signals | None:
        """The signal that ended it, if one did."""
        return signals.Signals(-self.code) if self.code < 0 else None


@dataclass(frozen=True, slots=True)
class ProcessOutput:
    """What a captured process left.

    Attributes:
        stdout, stderr: Bytes it wrote.
        status: How it ended.
        confinement: What was in force, as in the audit record.
        complete: False when a process that left the process group kept a stream open, so that
            there may be output nobody waited for.
    """

    stdout: bytes
    stderr: bytes
    status: ExitStatus
    confinement: Mapping[str, object] = field(default_factory=dict)
    complete: bool = True

    @property
    def exit_code(self) -> int:
        """The exit code, or the negative number of the signal that ended the process."""
        return self.status.code
