"""What can be done with processes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from airssys.osl.operation import Operation, Permission, operation
from airssys.osl.processes.records import Confinement, ExitStatus, ProcessLimits, ProcessOutput

if TYPE_CHECKING:
    import signal as signals
    from collections.abc import Mapping

    from airssys.osl.files.operations import PathLike
    from airssys.osl.processes.process import Process

__all__ = [
    "DEFAULT_ENVIRONMENT",
    "KillProcess",
    "ListChildren",
    "RunProcess",
    "SignalProcess",
    "SpawnProcess",
    "WaitProcess",
]

#: All that a child finds in its environment unless it is given more.
DEFAULT_ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
)

T = TypeVar("T")
Argument: TypeAlias = "str | bytes | os.PathLike[str]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start(Operation[T]):
    """What starting a program takes.

    Attributes:
        program: Absolute path, or a name to be looked for in the pipeline's `search_path`.
        arguments: What follows the name of the program. No shell reads them.
        environment: Variables beside `DEFAULT_ENVIRONMENT`; nothing else is inherited.
        directory: Working directory, which the principal must be able to list; `/` by default.
        limits: Resource limits.
        confinement: What the kernel holds it to.
    """

    program: str
    arguments: tuple[Argument, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    directory: PathLike | None = None
    limits: ProcessLimits = field(default_factory=ProcessLimits)
    confinement: Confinement = field(default_factory=Confinement)

    def permissions(self) -> tuple[Permission, ...]:
        """Spawn the program."""
        return (Permission("process", "spawn", self.program),)


@operation("process.run")
@dataclass(frozen=True, slots=True, kw_only=True)
class RunProcess(_Start[ProcessOutput]):
    """Run a program to its end and capture its output; what it left in its process group ends.

    Attributes:
        stdin: Bytes it can read.
        timeout: Seconds until it and its process group are told to end (TERM), then made to (KILL).
        grace: Seconds between the two.
        output_limit: Bytes of stdout, and of stderr, above which it is killed.
    """

    stdin: bytes = b""
    timeout: float | None = None
    grace: float = 1.0
    output_limit: int = 16 << 20


@operation("process.spawn")
@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnProcess(_Start["Process"]):
    """Start a program and talk to it while it runs.

    Attributes:
        stdin: `pipe` to write to it; `null` for an empty input.
        stdout, stderr: `pipe` to read from it; `null` to drop what it writes.
    """

    stdin: Literal["pipe", "null"] = "null"
    stdout: Literal["pipe", "null"] = "pipe"
    stderr: Literal["pipe", "null"] = "pipe"


def _target(process: Process | int) -> str:
    return os.readlink(f"/proc/{process}/exe") if isinstance(process, int) else process.executable


@operation("process.wait")
@dataclass(frozen=True, slots=True)
class WaitProcess(Operation[ExitStatus]):
    """Wait until a process ends.

    Attributes:
        process: A process that was spawned here.
        timeout: Seconds after which waiting is a `TimeoutError`; the process goes on.
    """

    process: Process
    timeout: float | None = None

    def permissions(self) -> tuple[Permission, ...]:
        """Wait for the program."""
        return (Permission("process", "wait", self.process.executable),)


@operation("process.signal")
@dataclass(frozen=True, slots=True)
class SignalProcess(Operation[None]):
    """Send a signal.

    Attributes:
        process: A process that was spawned here, or the id of any.
        signal: Which one.
        tree: Send it to all processes in the process group of one that was spawned here.
    """

    process: Process | int
    signal: signals.Signals
    tree: bool = False

    def permissions(self) -> tuple[Permission, ...]:
        """Signal the program that runs there."""
        return (Permission("process", "signal", _target(self.process)),)


@operation("process.kill")
@dataclass(frozen=True, slots=True)
class KillProcess(Operation[None]):
    """End a process, and all in its process group if it was spawned here, without asking it."""

    process: Process | int

    def permissions(self) -> tuple[Permission, ...]:
        """Signal the program that runs there."""
        return (Permission("process", "signal", _target(self.process)),)


@operation("process.list")
@dataclass(frozen=True, slots=True)
class ListChildren(Operation["tuple[Process, ...]"]):
    """List the running processes that the principal spawned and may wait for."""

    def permissions(self) -> tuple[Permission, ...]:
        """Each process found is decided by itself."""
        return ()
