"""The same operations for scripts: they block, and need no event loop.

A context entered with `with system.acting_as(...)` holds here too. Operations run on one event
loop in a thread of its own, which is started when the first operation really has to wait. A
running event loop is never blocked: inside one these functions raise.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar

from airssys.osl import functions
from airssys.osl.portal import portal

if TYPE_CHECKING:
    import signal as signals
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
    from types import TracebackType

    from airssys.osl.files.watch import Change, Watch  # noqa: F401 - named in the type of a base
    from airssys.osl.middleware.chain import Middleware
    from airssys.osl.network.connection import (  # noqa: F401 - named in the types of bases
        Connection,
        Datagrams,
        Listener,
    )
    from airssys.osl.processes.process import Process  # noqa: F401 - likewise
    from airssys.osl.processes.records import ExitStatus

__all__ = [
    "BlockingConnection",
    "BlockingDatagrams",
    "BlockingListener",
    "BlockingProcess",
    "BlockingWatch",
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

P = ParamSpec("P")
T = TypeVar("T")
L = TypeVar("L")


def _blocking(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return portal.call(function(*args, **kwargs))

    return call


perform = _blocking(functions.perform)
read_file = _blocking(functions.read_file)
write_file = _blocking(functions.write_file)
delete_file = _blocking(functions.delete_file)
copy_file = _blocking(functions.copy_file)
move_file = _blocking(functions.move_file)
stat_file = _blocking(functions.stat_file)
make_directory = _blocking(functions.make_directory)
list_directory = _blocking(functions.list_directory)
remove_directory = _blocking(functions.remove_directory)
run = _blocking(functions.run)


class _Held(Generic[L]):
    """A live object whose waiting happens on the portal's loop."""

    def __init__(self, live: L) -> None:
        self.live = live


class _Closing:
    """Closes at the end of a `with` block."""

    def close(self) -> None:
        """Close it; closing twice is harmless."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class BlockingProcess(_Held["Process"]):
    """A running child; `live` is the object of the async API."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.live.pid

    def write(self, data: bytes) -> None:
        """Send bytes to its standard input."""
        portal.call(self.live.write(data))

    def close_input(self) -> None:
        """Let it read the end of its standard input."""

        async def close() -> None:
            self.live.close_input()

        portal.call(close())

    def read(self, size: int = 65536) -> bytes:
        """Return up to `size` bytes of its standard output; none at the end."""
        return portal.call(self.live.read(size))

    def read_error(self, size: int = 65536) -> bytes:
        """Return up to `size` bytes of its standard error; none at the end."""
        return portal.call(self.live.read_error(size))

    @property
    def status(self) -> ExitStatus | None:
        """How it ended; `None` while it runs."""
        return self.live.status

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of its standard output with their ends."""
        return _iterate(self.live.lines())

    def wait(self) -> ExitStatus:
        """Wait until it ends."""
        return portal.call(self.live.wait())

    def signal(self, signal: signals.Signals, *, tree: bool = False) -> None:
        """Send it a signal."""
        portal.call(self.live.signal(signal, tree=tree))

    def kill(self) -> None:
        """End it and all in its session."""
        portal.call(self.live.kill())


class BlockingConnection(_Held["Connection"], _Closing):
    """A connection; `live` is the object of the async API."""

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        portal.call(self.live.send(data))

    def receive(self, size: int = 65536) -> bytes:
        """Return up to `size` bytes; none when the peer has ended the stream."""
        return portal.call(self.live.receive(size))

    def close(self) -> None:
        """Close the connection."""
        portal.call(self.live.close())


class BlockingListener(_Held["Listener"], _Closing):
    """A listener; `live` is the object of the async API."""

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.live.port

    def accept(self) -> BlockingConnection:
        """Wait for a connection."""
        return BlockingConnection(portal.call(self.live.accept()))

    def close(self) -> None:
        """Stop listening."""
        portal.call(self.live.close())


class BlockingDatagrams(_Held["Datagrams"], _Closing):
    """A UDP socket; `live` is the object of the async API."""

    @property
    def port(self) -> int:
        """The port it receives on."""
        return self.live.port

    def send(self, data: bytes, host: str, port: int) -> None:
        """Send one datagram."""
        portal.call(self.live.send(data, host, port))

    def receive(self, size: int = 65536) -> tuple[bytes, tuple[str, int]]:
        """Wait for a datagram; return it and where it came from."""
        return portal.call(self.live.receive(size))

    def close(self) -> None:
        """Close the socket."""
        portal.call(self.live.close())


class BlockingWatch(_Held["Watch"], _Closing):
    """An iterator over changes; `live` is the object of the async API.

    Raises:
        AccessDenied: The right to watch is gone, also while this waits.
    """

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        """Wait for the next change; ends when it is closed, also from another thread."""
        change = portal.call(anext(self.live, None))
        if change is None:
            raise StopIteration
        return change

    def close(self) -> None:
        """Stop watching."""

        async def close() -> None:
            self.live.close()

        portal.call(close())


def _holding(
    function: Callable[P, Coroutine[Any, Any, L]], hold: Callable[[L], T]
) -> Callable[P, T]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return hold(portal.call(function(*args, **kwargs)))

    return call


def _iterate(live: AsyncIterator[L]) -> Iterator[L]:
    async def step() -> tuple[L] | None:
        async for item in live:
            return (item,)
        return None

    while (found := portal.call(step())) is not None:
        yield found[0]


spawn = _holding(functions.spawn, BlockingProcess)
connect = _holding(functions.connect, BlockingConnection)
connect_unix = _holding(functions.connect_unix, BlockingConnection)
listen = _holding(functions.listen, BlockingListener)
listen_unix = _holding(functions.listen_unix, BlockingListener)
open_socket = _holding(functions.open_socket, BlockingDatagrams)
walk_directory = _holding(functions.walk_directory, _iterate)
watch = _holding(functions.watch, BlockingWatch)
list_children = _holding(functions.list_children, lambda found: tuple(map(BlockingProcess, found)))


def wait(
    process: BlockingProcess,
    *,
    timeout: float | None = None,
    middleware: Iterable[Middleware] = (),
) -> ExitStatus:
    """Wait until a child ends and return how it did; see `WaitProcess`."""
    return portal.call(functions.wait(process.live, timeout=timeout, middleware=middleware))


def send_signal(
    process: BlockingProcess | int,
    signal: signals.Signals,
    *,
    tree: bool = False,
    middleware: Iterable[Middleware] = (),
) -> None:
    """Send a signal to a child, or to any process by its id; see `SignalProcess`."""
    target = process if isinstance(process, int) else process.live
    portal.call(functions.send_signal(target, signal, tree=tree, middleware=middleware))


def kill(process: BlockingProcess | int, *, middleware: Iterable[Middleware] = ()) -> None:
    """End a process without asking it; see `KillProcess`."""
    target = process if isinstance(process, int) else process.live
    portal.call(functions.kill(target, middleware=middleware))
