"""Processes: the program that was checked is the one that runs, held to its principal's grants."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal as signals
from typing import TYPE_CHECKING, NamedTuple

from airssys.errors import AirsSysError
from airssys.osl._native import spawn_confined, typed
from airssys.osl.errors import AccessDenied, LimitExceeded, OperationTimeout, OslError
from airssys.osl.executor import Outcome, executor
from airssys.osl.files.executors import open_directory, plain
from airssys.osl.processes.operations import (
    DEFAULT_ENVIRONMENT,
    KillProcess,
    ListChildren,
    RunProcess,
    SignalProcess,
    SpawnProcess,
    WaitProcess,
)
from airssys.osl.processes.process import Process
from airssys.osl.processes.records import ExitStatus, ProcessOutput

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airssys.osl._native import Child, OpenedFile
    from airssys.osl.authority import Authority

# Seconds for which the streams of an ended program are still read, when a process that left its
# process group holds them open.
_LINGER = 1.0


class _Pipes(NamedTuple):
    """Both sides' ends of the standard streams; `None` where there is no pipe."""

    child: tuple[int | None, int | None, int | None]
    own: tuple[int | None, int | None, int | None]


def _make_pipes(*, stdin: bool, stdout: bool, stderr: bool) -> _Pipes:
    child: list[int | None] = []
    own: list[int | None] = []
    for number, wanted in enumerate((stdin, stdout, stderr)):
        if not wanted:
            child.append(None)
            own.append(None)
            continue
        reading, writing = os.pipe2(os.O_CLOEXEC)
        child.append(reading if number == 0 else writing)
        own.append(writing if number == 0 else reading)
    return _Pipes((child[0], child[1], child[2]), (own[0], own[1], own[2]))


def _close(descriptors: tuple[int | None, ...]) -> None:
    for descriptor in descriptors:
        if descriptor is not None:
            os.close(descriptor)


def _find(program: str, authority: Authority) -> str:
    if "\0" in program or not program:
        raise _no_program(
            program, authority, "cannot name a program: expected an absolute path or a bare name"
        )
    if program.startswith("/"):
        return program
    if "/" in program:
        raise _no_program(
            program,
            authority,
            "is relative to whatever directory is current; name the program by its absolute path",
        )
    search_path = authority.system.search_path
    for directory in search_path:
        path = os.path.join(directory, program)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    raise FileNotFoundError(2, f"no such program in {':'.join(search_path)}", program)


def _no_program(program: str, authority: Authority, problem: str) -> OslError:
    """Record that a program was refused for its name, and return the error that says so."""
    sequence = authority.record_refusal("process", "spawn", program, "invalid-program")
    return OslError(f"{program!r} {problem}", code="invalid-program", sequence=sequence)


async def _open(path: str, arguments: tuple[str | bytes, ...], authority: Authority) -> OpenedFile:
    return await authority.acquire(
        "process",
        "spawn",
        lambda approved_by: authority.gate.open_executable(
            authority.subject, path, arguments=arguments, approved_by=approved_by
        ),
    )


class _Grants(NamedTuple):
    read: list[str]
    write: list[str]
    execute: list[str]


def _grants(authority: Authority) -> _Grants:
    grants = _Grants([], [], [])
    for path, subtree, names in authority.gate.path_grants(authority.subject):
        accesses = set(names)
        # Below a directory the kernel's right to read brings listing with it, and its right to
        # write brings making and removing; so there all of them must be granted.
        if accesses >= ({"read", "list"} if subtree else {"read"}):
            grants.read.append(path)
        if accesses >= ({"write", "create", "delete"} if subtree else {"write"}):
            grants.write.append(path)
        if "execute" in accesses:
            grants.execute.append(path)
    return grants


async def _whole(spawn: Callable[..., Child], *args: object, **options: object) -> Child:
    """Start a child in a thread; when cancelled, wait for it, and end it before going on."""
    starting = asyncio.create_task(asyncio.to_thread(spawn, *args, **options))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        while not starting.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({starting})
        if starting.exception() is None:
            child = starting.result()
            os.killpg(child.pid, signals.SIGKILL)
            await asyncio.to_thread(os.waitid, os.P_PIDFD, child.pidfd, os.WEXITED)
        raise


async def _start(
    operation: RunProcess | SpawnProcess, authority: Authority, pipes: _Pipes
) -> Process:
    program = _find(operation.program, authority)
    arguments = tuple(
        argument if isinstance(argument, (str, bytes)) else os.fspath(argument)
        for argument in operation.arguments
    )
    kept: list[OpenedFile] = []
    try:
        opened = await _open(program, arguments, authority)
        kept.append(opened)
        executable = os.fsdecode(opened.path_bytes)
        argv: list[str | bytes] = [program, *arguments]
        grants = _grants(authority)
        passed: list[int] = []
        if opened.interpreter is not None:
            # The interpreter reads the script that was checked, by its descriptor, and is a
            # program that the principal must be allowed to run like any other.
            script = f"/dev/fd/{opened.fd}"
            # As the kernel reads it: a path, and all that follows as one argument.
            interpreter, *extra = opened.interpreter.split(None, 1)
            argv = [interpreter, *extra, script, *arguments]
            passed.append(opened.fd)
            grants.read.append(executable)
            opened = await _open(interpreter, tuple(argv[1:]), authority)
            kept.append(opened)
        grants.execute.append(os.fsdecode(opened.path_bytes))
        for verb, ports in (
            ("connect", operation.confinement.connect_ports),
            ("bind", operation.confinement.bind_ports),
        ):
            for port in ports:
                await authority.decide("custom", "use", f"osl/child/{verb}/{port}")
        if operation.directory is not None:
            kept.append(await open_directory(plain(operation.directory), authority))
            directory = kept[-1].fd
            close_directory = False
        else:
            directory = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            close_directory = True
        try:
            child = await _whole(
                spawn_confined,
                opened.fd,
                argv,
                environment={**DEFAULT_ENVIRONMENT, **operation.environment},
                directory=directory,
                stdin=pipes.child[0],
                stdout=pipes.child[1],
                stderr=pipes.child[2],
                pass_fds=passed,
                read=grants.read,
                write=grants.write,
                execute=grants.execute,
                connect_ports=operation.confinement.connect_ports,
                bind_ports=operation.confinement.bind_ports,
                limits=operation.limits.as_mapping(),
                required=operation.confinement.required,
            )
        except AirsSysError as error:
            raise typed(error) from None
        finally:
            if close_directory:
                os.close(directory)
    finally:
        for each in kept:
            each.close()
    authority.system.audit.record(
        authority.subject,
        "process.spawn",
        executable,
        "outcome",
        detail=json.dumps({"pid": child.pid, "confinement": child.confinement}),
    )
    return Process(
        authority,
        pid=child.pid,
        # The native object closes its own descriptor when it goes.
        pidfd=os.dup(child.pidfd),
        executable=executable,
        confinement=child.confinement,
    )


async def _launch(
    operation: RunProcess | SpawnProcess,
    authority: Authority,
    *,
    stdin: bool,
    stdout: bool,
    stderr: bool,
) -> Process:
    pipes = _make_pipes(stdin=stdin, stdout=stdout, stderr=stderr)
    try:
        process = await _start(operation, authority, pipes)
    except BaseException:
        _close(pipes.own)
        raise
    finally:
        _close(pipes.child)
    try:
        await process._attach(*pipes.own)  # noqa: SLF001 - the other half of making one
    except BaseException:
        process.abandon()
        raise
    return process


@executor(SpawnProcess, decides="itself")
async def spawn_process(operation: SpawnProcess, authority: Authority) -> Process:
    """Start a program with the streams that were asked for."""
    return await _launch(
        operation,
        authority,
        stdin=operation.stdin == "pipe",
        stdout=operation.stdout == "pipe",
        stderr=operation.stderr == "pipe",
    )


@executor(RunProcess, decides="itself")
async def run_process(operation: RunProcess, authority: Authority) -> Outcome[ProcessOutput]:
    """Run a program, feed and drain it, and see that nothing of it is left."""
    process = await _launch(
        operation, authority, stdin=bool(operation.stdin), stdout=True, stderr=True
    )
    output: list[bytes] = []
    errors: list[bytes] = []
    tasks = [
        asyncio.create_task(_collect(process.read, output, operation)),
        asyncio.create_task(_collect(process.read_error, errors, operation)),
    ]
    feeder = asyncio.create_task(_feed(process, operation.stdin))
    try:
        try:
            async with asyncio.timeout(operation.timeout):
                status = await _ended(process, tasks)
        except TimeoutError:
            await process.stop(operation.grace)
            raise OperationTimeout(
                f"{process.executable} took longer than its {operation.timeout:g} s and was ended",
                program=process.executable,
                seconds=operation.timeout,
            ) from None
        _, late = await asyncio.wait(tasks, timeout=_LINGER)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled():
                task.result()
    finally:
        process.send(signals.SIGKILL, tree=True)
        feeder.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(feeder, *tasks, return_exceptions=True)
        await asyncio.shield(process.ended())
        process.release()
    done = ProcessOutput(b"".join(output), b"".join(errors), status, process.confinement, not late)
    return Outcome(done, status.code, {"pid": process.pid, "confinement": process.confinement})


async def _ended(process: Process, tasks: list[asyncio.Task[None]]) -> ExitStatus:
    """Wait for the end, or for a reader that has had too much."""
    end = asyncio.create_task(process.ended())
    pending: set[asyncio.Task[None] | asyncio.Task[ExitStatus]] = {end, *tasks}
    try:
        while not end.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {end}:
                task.result()
        return end.result()
    finally:
        end.cancel()


async def _feed(process: Process, data: bytes) -> None:
    if data:
        # A child that does not want its input is no failure of ours.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await process.write(data)
            process.close_input()


async def _collect(
    read: Callable[[], Awaitable[bytes]], parts: list[bytes], operation: RunProcess
) -> None:
    total = 0
    while part := await read():
        total += len(part)
        if total > operation.output_limit:
            raise LimitExceeded(
                f"{operation.program} wrote more than its {operation.output_limit} bytes and was "
                "killed; raise `output_limit`, or spawn it and read as it goes",
                program=operation.program,
                limit=operation.output_limit,
            )
        parts.append(part)


@executor(WaitProcess, decides="declared")
async def wait_process(operation: WaitProcess, _: Authority) -> Outcome[ExitStatus]:
    """Wait on the process's own descriptor; its number may be another's by then."""
    async with asyncio.timeout(operation.timeout):
        status = await operation.process.ended()
    return Outcome(status, status.code)


@executor(SignalProcess, decides="itself")
async def signal_process(operation: SignalProcess, authority: Authority) -> None:
    """Signal the process that was looked at, by descriptor."""
    await _signal(operation.process, operation.signal, authority, tree=operation.tree)


@executor(KillProcess, decides="itself")
async def kill_process(operation: KillProcess, authority: Authority) -> None:
    """Kill the process that was looked at, with its process group if it is ours."""
    await _signal(operation.process, signals.SIGKILL, authority, tree=True)


async def _signal(
    process: Process | int, signal: signals.Signals, authority: Authority, *, tree: bool
) -> None:
    if isinstance(process, Process):
        await authority.decide("process", "signal", process.executable, detail=signal.name)
        process.send(signal, tree=tree)
        return
    descriptor = os.pidfd_open(process)
    try:
        target = os.readlink(f"/proc/{process}/exe")
        # Only while the descriptor's process lives was the link the one of that process.
        signals.pidfd_send_signal(descriptor, 0)
        await authority.decide("process", "signal", target, detail=f"{signal.name} {process}")
        signals.pidfd_send_signal(descriptor, signal)
    finally:
        os.close(descriptor)


@executor(ListChildren, decides="itself")
async def list_children(_: ListChildren, authority: Authority) -> tuple[Process, ...]:
    """Decide on each child of the principal, leaving out what it may not wait for."""
    authority.decided = True
    found = []
    for process in list(authority.system.children.values()):
        if process.principal != authority.context.principal.name:
            continue
        with contextlib.suppress(AccessDenied):
            await authority.decide("process", "wait", process.executable)
            found.append(process)
    return tuple(found)
