"""The layer as supervised actors: services that take operations, programs that are kept running.

This module alone needs `airssys.rt`; import it by its own name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from airssys.errors import AirsSysError
from airssys.osl.errors import OslError
from airssys.rt import Actor, Ask, Refuse, Tell, handles

if TYPE_CHECKING:
    from airssys.osl.context import Principal
    from airssys.osl.operation import Operation
    from airssys.osl.processes.operations import SpawnProcess
    from airssys.osl.processes.process import Process
    from airssys.osl.processes.records import ExitStatus
    from airssys.osl.system import OSL
    from airssys.rt import Reason, Ref

__all__ = [
    "Exited",
    "FileService",
    "NetworkService",
    "Perform",
    "ProcessActor",
    "ProcessFailed",
    "ProcessService",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Perform(Ask["Service", T], Generic[T]):
    """Ask a service to run an operation; the reply is its output."""

    operation: Operation[T]


class Service(Actor):
    """Runs the operations of some families on behalf of one principal.

    Operations run side by side. One that fails fails its asker and not the service. What an
    operation opened (a connection, a process) belongs to who asked, and ends with the rule that
    allowed it or with the pipeline, not with the service.

    Args:
        system: The pipeline.
        principal: Who acts.
    """

    #: The families, first parts of operation names, that it takes.
    families: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, system: OSL, principal: Principal) -> None:
        self._system = system
        self._principal = principal

    @handles(Perform, reentrant=True)
    async def perform(self, message: Perform[object]) -> object:
        """Run the operation as the service's principal."""
        operation = message.operation
        family = operation.name.partition(".")[0]
        if family not in self.families:
            raise Refuse(
                OslError(
                    f"{type(self).__name__} does not run {operation.name}; "
                    f"it takes {', '.join(sorted(self.families))}",
                    code="wrong-service",
                    operation=operation.name,
                )
            )
        try:
            with self._system.acting_as(self._principal):
                return (await self._system.run(operation)).output
        except (AirsSysError, OSError) as error:
            raise Refuse(error) from error


class FileService(Service):
    """Files and directories."""

    families = frozenset({"file", "directory"})


class ProcessService(Service):
    """Processes and utilities."""

    families = frozenset({"process", "utility"})


class NetworkService(Service):
    """The network."""

    families = frozenset({"network"})


class ProcessFailed(OslError):
    """A supervised program ended with something else than 0."""

    default_code = "process-failed"


@dataclass(frozen=True, slots=True)
class Exited(Tell[Actor]):
    """Report of a `ProcessActor` to its watcher: its program ended.

    Attributes:
        path: Address of the actor.
        pid: Id that the process had.
        status: How it ended.
    """

    path: str
    pid: int
    status: ExitStatus


@dataclass(frozen=True, slots=True)
class _Ended(Tell["ProcessActor"]):
    process: Process
    status: ExitStatus


class ProcessActor(Actor):
    """Is a program: started with it, ended with it, restarted by its supervisor's policy.

    When the program ends with 0 the actor stops normally; with anything else the actor fails, and
    its supervisor restarts it, with backoff and intensity, by starting the program anew. Stopping
    the actor tells the program to end (TERM), and after `grace` seconds makes it (KILL), with all
    that runs in its process group.

    Args:
        system: The pipeline.
        principal: Who acts.
        command: What to run. Output that is not read stops a program, so pipes are for commands
            whose `process` someone reads; `null` streams are for the rest.
        watcher: Gets an `Exited` for each end of the program.
        grace: Seconds.
    """

    def __init__(
        self,
        system: OSL,
        principal: Principal,
        command: SpawnProcess,
        watcher: Ref[Actor] | None = None,
        grace: float = 1.0,
    ) -> None:
        self._system = system
        self._principal = principal
        self._command = command
        self._watcher = watcher
        self._grace = grace
        self.process: Process | None = None

    async def started(self) -> None:
        """Start the program."""
        with self._system.acting_as(self._principal):
            process = (await self._system.run(self._command)).output
        self.process = process
        ref = self.ref
        process.on_end(lambda status: ref.tell(_Ended(process, status)))

    @handles
    async def ended(self, message: _Ended) -> None:
        """Report, and stop or fail as the program did."""
        process, status = message.process, message.status
        process.release()
        if self._watcher is not None:
            self._watcher.tell(Exited(self.ref.path, process.pid, status))
        if status.code != 0:
            raise ProcessFailed(
                f"{process.executable} (process {process.pid}) ended with {status.code}",
                program=process.executable,
                exit_code=status.code,
            )
        self.stop()

    async def stopped(self, _: Reason) -> None:
        """End the program if it runs."""
        if self.process is not None and self.process.status is None:
            await self.process.stop(self._grace)
            self.process.release()
