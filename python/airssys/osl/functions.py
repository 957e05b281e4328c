"""The operations as functions: `await read_file(path)` inside a context.

Each runs through the pipeline of the context, takes `middleware` for this run alone, and returns
the output; `OSL.run` returns the whole `Result`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeVar

from airssys.osl.context import current_system
from airssys.osl.files.operations import (
    CopyFile,
    DeleteFile,
    ListDirectory,
    MakeDirectory,
    MoveFile,
    ReadFile,
    RemoveDirectory,
    StatFile,
    WalkDirectory,
    WatchPath,
    WriteFile,
)
from airssys.osl.network.operations import Connect, ConnectUnix, Listen, ListenUnix, OpenSocket
from airssys.osl.processes.operations import (
    KillProcess,
    ListChildren,
    RunProcess,
    SignalProcess,
    SpawnProcess,
    WaitProcess,
)
from airssys.osl.processes.records import Confinement, ProcessLimits

if TYPE_CHECKING:
    import os
    import signal as signals
    import ssl
    from collections.abc import Iterable, Mapping

    from airssys.osl.files.operations import PathLike, WriteMode
    from airssys.osl.files.records import Entry, FileStat
    from airssys.osl.files.walk import Walk
    from airssys.osl.files.watch import Watch
    from airssys.osl.middleware.chain import Middleware
    from airssys.osl.network.connection import Connection, Datagrams, Listener
    from airssys.osl.operation import Operation
    from airssys.osl.processes.process import Process
    from airssys.osl.processes.records import ExitStatus, ProcessOutput

__all__ = [
    "connect",
    "connect_unix",
    "copy_file",
    "delete_file",
    "kill",
    "list_children",
    "list_directory",
    "listen",
    "listen_unix",
    "make_directory",
    "move_file",
    "open_socket",
    "perform",
    "read_file",
    "remove_directory",
    "run",
    "send_signal",
    "spawn",
    "stat_file",
    "wait",
    "walk_directory",
    "watch",
    "write_file",
]

T = TypeVar("T")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_LIMITS = ProcessLimits()
_CONFINEMENT = Confinement()


async def perform(operation: Operation[T], *, middleware: Iterable[Middleware] = ()) -> T:
    """Run an operation through the pipeline of the context and return its output.

    Raises:
        NoContext: Nobody acts here.
        AccessDenied: The gate refused, and nothing was done.
        OSError: The system refused.
    """
    return (await current_system().run(operation, middleware=middleware)).output


async def read_file(
    path: PathLike,
    *,
    offset: int = 0,
    length: int | None = None,
    limit: int = 256 << 20,
    middleware: Iterable[Middleware] = (),
) -> bytes:
    """Return the bytes of a regular file; see `ReadFile`."""
    operation = ReadFile(path, offset, length, limit)
    return await perform(operation, middleware=middleware)


async def write_file(
    path: PathLike,
    data: bytes | bytearray | memoryview,
    *,
    mode: WriteMode = "overwrite",
    mode_bits: int = 0o666,
    middleware: Iterable[Middleware] = (),
) -> int:
    """Write a regular file and return the number of bytes; see `WriteFile`."""
    return await perform(WriteFile(path, data, mode, mode_bits), middleware=middleware)


async def delete_file(path: PathLike, *, middleware: Iterable[Middleware] = ()) -> None:
    """Remove a file or symbolic link."""
    await perform(DeleteFile(path), middleware=middleware)


async def copy_file(
    source: PathLike,
    destination: PathLike,
    *,
    replace: bool = False,
    middleware: Iterable[Middleware] = (),
) -> int:
    """Copy a file and return the number of bytes; see `CopyFile`."""
    return await perform(CopyFile(source, destination, replace), middleware=middleware)


async def move_file(
    source: PathLike,
    destination: PathLike,
    *,
    replace: bool = False,
    middleware: Iterable[Middleware] = (),
) -> None:
    """Rename a file or directory; see `MoveFile`."""
    await perform(MoveFile(source, destination, replace), middleware=middleware)


async def stat_file(
    path: PathLike, *, follow: bool = True, middleware: Iterable[Middleware] = ()
) -> FileStat:
    """Return the metadata of whatever a path names."""
    return await perform(StatFile(path, follow), middleware=middleware)


async def watch(path: PathLike, *, middleware: Iterable[Middleware] = ()) -> Watch:
    """Return an async iterator over changes; close it, or use it in a `with` block."""
    return await perform(WatchPath(path), middleware=middleware)


async def make_directory(
    path: PathLike,
    *,
    parents: bool = False,
    mode_bits: int = 0o777,
    middleware: Iterable[Middleware] = (),
) -> None:
    """Make a directory; see `MakeDirectory`."""
    await perform(MakeDirectory(path, parents, mode_bits), middleware=middleware)


async def list_directory(
    path: PathLike, *, middleware: Iterable[Middleware] = ()
) -> tuple[Entry, ...]:
    """Return the entries of a directory, sorted by name."""
    return await perform(ListDirectory(path), middleware=middleware)


async def remove_directory(
    path: PathLike, *, recursive: bool = False, middleware: Iterable[Middleware] = ()
) -> int:
    """Remove a directory and return the number of objects removed; see `RemoveDirectory`."""
    return await perform(RemoveDirectory(path, recursive), middleware=middleware)


async def walk_directory(
    path: PathLike, *, skip_denied: bool = False, middleware: Iterable[Middleware] = ()
) -> Walk:
    """Return an async iterator over everything below a directory; see `WalkDirectory`."""
    return await perform(WalkDirectory(path, skip_denied), middleware=middleware)


async def run(
    program: str,
    *arguments: str | bytes | os.PathLike[str],
    stdin: bytes = b"",
    environment: Mapping[str, str] = _NOTHING,
    directory: PathLike | None = None,
    limits: ProcessLimits = _LIMITS,
    confinement: Confinement = _CONFINEMENT,
    timeout: float | None = None,
    grace: float = 1.0,
    output_limit: int = 16 << 20,
    middleware: Iterable[Middleware] = (),
) -> ProcessOutput:
    """Run a program to its end and return what it wrote; see `RunProcess`."""
    operation = RunProcess(
        program=program,
        arguments=arguments,
        stdin=stdin,
        environment=environment,
        directory=directory,
        limits=limits,
        confinement=confinement,
        timeout=timeout,
        grace=grace,
        output_limit=output_limit,
    )
    return await perform(operation, middleware=middleware)


async def spawn(
    program: str,
    *arguments: str | bytes | os.PathLike[str],
    stdin: Literal["pipe", "null"] = "null",
    stdout: Literal["pipe", "null"] = "pipe",
    stderr: Literal["pipe", "null"] = "pipe",
    environment: Mapping[str, str] = _NOTHING,
    directory: PathLike | None = None,
    limits: ProcessLimits = _LIMITS,
    confinement: Confinement = _CONFINEMENT,
    middleware: Iterable[Middleware] = (),
) -> Process:
    """Start a program and return it running; see `SpawnProcess`."""
    operation = SpawnProcess(
        program=program,
        arguments=arguments,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        environment=environment,
        directory=directory,
        limits=limits,
        confinement=confinement,
    )
    return await perform(operation, middleware=middleware)


async def wait(
    process: Process,
    *,
    timeout: float | None = None,
    middleware: Iterable[Middleware] = (),
) -> ExitStatus:
    """Wait until a process ends and return how it did; see `WaitProcess`."""
    return await perform(WaitProcess(process, timeout), middleware=middleware)


async def send_signal(
    process: Process | int,
    signal: signals.Signals,
    *,
    tree: bool = False,
    middleware: Iterable[Middleware] = (),
) -> None:
    """Send a signal; see `SignalProcess`."""
    await perform(SignalProcess(process, signal, tree), middleware=middleware)


async def kill(process: Process | int, *, middleware: Iterable[Middleware] = ()) -> None:
    """End a process without asking it; see `KillProcess`."""
    await perform(KillProcess(process), middleware=middleware)


async def list_children(*, middleware: Iterable[Middleware] = ()) -> tuple[Process, ...]:
    """Return the running processes that the principal spawned and may wait for."""
    return await perform(ListChildren(), middleware=middleware)


async def connect(
    host: str,
    port: int,
    *,
    transport: Literal["tcp", "udp"] = "tcp",
    tls: bool | ssl.SSLContext = False,
    server_name: str | None = None,
    middleware: Iterable[Middleware] = (),
) -> Connection:
    """Connect to a host and return the open connection; see `Connect`."""
    operation = Connect(host, port, transport, tls, server_name)
    return await perform(operation, middleware=middleware)


async def connect_unix(path: str, *, middleware: Iterable[Middleware] = ()) -> Connection:
    """Connect to a Unix socket that has a path."""
    return await perform(ConnectUnix(path), middleware=middleware)


async def listen(
    host: str,
    port: int,
    *,
    backlog: int = 100,
    tls: ssl.SSLContext | None = None,
    middleware: Iterable[Middleware] = (),
) -> Listener:
    """Listen for TCP connections; see `Listen`."""
    return await perform(Listen(host, port, backlog, tls), middleware=middleware)


async def listen_unix(
    path: str, *, backlog: int = 100, middleware: Iterable[Middleware] = ()
) -> Listener:
    """Listen for connections at a path; see `ListenUnix`."""
    return await perform(ListenUnix(path, backlog), middleware=middleware)


async def open_socket(
    host: str, port: int = 0, *, middleware: Iterable[Middleware] = ()
) -> Datagrams:
    """Open a UDP socket for many peers; see `OpenSocket`."""
    return await perform(OpenSocket(host, port), middleware=middleware)
