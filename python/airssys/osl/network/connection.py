"""Live connections, listeners and datagram sockets, each resting on a right that may end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any, Self

from airssys.osl.errors import AccessDenied, OslError

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from airssys.osl._native import Decision
    from airssys.osl.authority import Authority

__all__ = ["Connection", "Datagrams", "Listener"]


class _Right:
    """A decision that is taken again whenever the rules have changed."""

    def __init__(
        self,
        authority: Authority,
        access: str,
        again: Callable[[], Decision],
        end: Callable[[], None],
    ) -> None:
        self._authority = authority
        self._access = access
        self._again = again
        self._end = end
        self._generation = authority.gate.generation
        self._loop = asyncio.get_running_loop()
        self._lost: AccessDenied | None = None
        authority.system.watch_over(self)

    def recheck(self) -> None:
        """Check soon, on the loop that the object lives on; rules may change on any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the object with it
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        with contextlib.suppress(AccessDenied):
            self.check()

    def check(self) -> None:
        """Raise `AccessDenied` once the right is gone, after ending what rests on it."""
        if self._lost is not None:
            raise self._lost
        generation = self._authority.gate.generation
        if generation == self._generation:
            return
        self._generation = generation
        decision = self._again()
        if not decision.allowed:
            self._lost = self._authority.denied("network", self._access, decision)
            self._end()
            raise self._lost


class Connection:
    """A stream of bytes, or of datagrams with one peer.

    Attributes:
        peer: Address of the other side as the system has it; empty for Unix sockets.
    """

    def __init__(self, peer: tuple[object, ...] | str) -> None:
        self.peer = peer
        self._right: _Right | None = None
        self._closed = False

    def _rest_on(self, authority: Authority, access: str, again: Callable[[], Decision]) -> None:
        self._right = _Right(authority, access, again, self._abort)

    def _check(self) -> None:
        if self._right is not None:
            self._right.check()
        if self._closed:
            raise OslError("the connection is closed; connect anew", code="closed")

    def _abort(self) -> None:
        raise NotImplementedError

    async def send(self, data: bytes) -> None:
        """Send all of `data`, waiting while the peer does not take it.

        Raises:
            AccessDenied: The right to the connection is gone.
            ConnectionError: The peer is gone.
        """
        raise NotImplementedError

    async def receive(self, size: int = 65536) -> bytes:
        """Return up to `size` bytes, or one datagram; no bytes when the peer has ended the stream.

        Raises:
            AccessDenied: The right to the connection is gone, also while this waits.
            ConnectionError: The connection broke.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Close the connection; closing twice is harmless."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class StreamConnection(Connection):
    """TCP, TLS or a Unix stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(writer.get_extra_info("peername") or "")
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(
        cls, sock: socket.socket, tls: ssl.SSLContext | None, server_name: str | None
    ) -> StreamConnection:
        """Return a connection over a connected socket, after the TLS handshake if there is one."""
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=tls, server_hostname=server_name if tls is not None else None
        )
        return cls(reader, writer)

    def _abort(self) -> None:
        self._writer.transport.abort()

    async def send(self, data: bytes) -> None:
        self._check()
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self, size: int = 65536) -> bytes:
        self._check()
        data = await self._reader.read(size)
        if not data:
            self._check()
        return data

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()


class DatagramConnection(Connection):
    """UDP with one peer."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.getpeername())
        self._socket = sock
        self._gone = asyncio.get_running_loop().create_future()

    def _abort(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    async def send(self, data: bytes) -> None:
        self._check()
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def receive(self, size: int = 65536) -> bytes:
        self._check()
        data = await _until(asyncio.get_running_loop().sock_recv(self._socket, size), self._gone)
        self._check()
        return data if data is not None else b""

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._abort()
            self._socket.close()


async def _first(task: asyncio.Task[Any], gone: asyncio.Future[None]) -> None:
    waited: set[asyncio.Future[Any]] = {task, gone}
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)


async def _until(work: Coroutine[Any, Any, bytes], gone: asyncio.Future[None]) -> bytes | None:
    """Await `work` unless `gone` comes first."""
    task = asyncio.create_task(work)
    try:
        await _first(task, gone)
        return task.result() if task.done() else None
    finally:
        task.cancel()


class Listener:
    """Accepts connections; an async iterator over them.

    Attributes:
        address: Where it listens, the port filled in.
    """

    def __init__(
        self, sock: socket.socket, tls: ssl.SSLContext | None, removed: tuple[int, str] | None
    ) -> None:
        self.address = sock.getsockname()
        self._socket = sock
        self._tls = tls
        self._removed = removed
        self._right: _Right | None = None
        self._closed = False
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _rest_on(self, authority: Authority, again: Callable[[], Decision]) -> None:
        self._authority = authority
        self._again = again
        self._right = _Right(authority, "listen", again, self._stop)

    @property
    def port(self) -> int:
        """The port it listens on; 0 for a Unix socket."""
        return int(self.address[1]) if isinstance(self.address, tuple) else 0

    async def accept(self) -> Connection:
        """Wait for a connection, after the TLS handshake if there is one.

        Raises:
            AccessDenied: The right to listen is gone, also while this waits.
            OslError: The listener was closed.
        """
        self._check()
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(loop.sock_accept(self._socket))
        try:
            await _first(task, self._gone)
            self._check()
            sock, _ = task.result()
        finally:
            task.cancel()
        connection = await self._wrap(sock)
        connection._rest_on(self._authority, "listen", self._again)  # noqa: SLF001 - same module
        return connection

    async def _wrap(self, sock: socket.socket) -> StreamConnection:
        if self._tls is None:
            return await StreamConnection.over(sock, None, None)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=self._tls)
        return StreamConnection(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    def _check(self) -> None:
        if self._right is not None:
            self._right.check()
        if self._closed:
            raise OslError("the listener is closed", code="closed")

    def _stop(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)
        self._socket.close()
        if self._removed is not None:
            directory, name = self._removed
            self._removed = None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
            os.close(directory)

    async def close(self) -> None:
        """Stop listening; accepted connections go on. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            # A waiting accept is woken before its socket goes.
            if not self._gone.done():
                self._gone.set_result(None)
            await asyncio.sleep(0)
            self._stop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Connection:
        """Wait for a connection; ends when the listener is closed."""
        try:
            return await self.accept()
        except OslError as error:
            if error.code == "closed":
                raise StopAsyncIteration from None
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class Datagrams:
    """A UDP socket for many peers; each destination is decided by itself.

    Attributes:
        address: Where it receives, the port filled in.
    """

    def __init__(self, sock: socket.socket, authority: Authority) -> None:
        self.address = sock.getsockname()
        self._socket = sock
        self._authority = authority
        self._right: _Right | None = None
        self._closed = False
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Destinations that were decided, as long as the rules are the same and there are few.
        self._decided: dict[tuple[str, int], tuple[int, tuple[object, ...]]] = {}

    def _rest_on(self, authority: Authority, again: Callable[[], Decision]) -> None:
        self._right = _Right(authority, "listen", again, self._stop)

    @property
    def port(self) -> int:
        """The port it receives on."""
        return int(self.address[1])

    async def send(self, data: bytes, host: str, port: int) -> None:
        """Send one datagram.

        Raises:
            AccessDenied: The destination, or the socket itself, is not allowed any more.
        """
        from airssys.osl.network.executors import resolve  # noqa: PLC0415 - it makes these

        self._check()
        generation = self._authority.gate.generation
        known = self._decided.get((host, port))
        if known is None or known[0] != generation:
            family, address = (
                await resolve(host, port, "udp", self._authority, family=self._socket.family)
            )[0]
            del family
            if len(self._decided) >= 1024:
                self._decided.clear()
            known = self._decided[host, port] = (generation, address)
        await asyncio.get_running_loop().sock_sendto(self._socket, data, known[1])

    async def receive(self, size: int = 65536) -> tuple[bytes, tuple[str, int]]:
        """Wait for a datagram; return it and the address and port it came from."""
        self._check()
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(loop.sock_recvfrom(self._socket, size))
        try:
            await _first(task, self._gone)
            self._check()
            data, sender = task.result()
        finally:
            task.cancel()
        return data, (sender[0], sender[1])

    def _check(self) -> None:
        if self._right is not None:
            self._right.check()
        if self._closed:
            raise OslError("the socket is closed; open a new one", code="closed")

    def _stop(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    async def close(self) -> None:
        """Close the socket; closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._stop()
            await asyncio.sleep(0)
            self._socket.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
