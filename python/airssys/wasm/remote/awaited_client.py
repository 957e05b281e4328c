"""HTTP/1.1 to one server, from an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from http.client import HTTPException, HTTPMessage, parse_headers
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from airssys.wasm.remote.request import Request, Response, result_of
from airssys.wasm.remote.unreachable import IDLE, MOST_HEAD, unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airssys.wasm.remote.address import Address

__all__ = ["AwaitedClient"]

_CONNECTIONS: Final = 256


class AwaitedClient:
    """Sends requests, each on a connection that is its own meanwhile; idle ones are kept.

    In a forked child it begins with connections of its own.

    Args:
        address: Of the server.
        token: What proves who asks; None on a socket that knows it.
        tls: How a server is recognised; as the system does by default.
    """

    def __init__(
        self, address: Address, token: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._address = address
        self._token = token
        self._tls = tls
        self._process = os.getpid()
        self._idle: list[tuple[_Connection, float]] = []
        self._room = asyncio.Semaphore(_CONNECTIONS)
        self._closed = False

    async def send(self, request: Request) -> Any:
        """Send a request and return what the answer holds.

        On cancel the connection is closed, which tells the server that nobody waits any more.

        Raises:
            ServerUnreachable: There is no server, or it went away.
            AirsSysError: What the server tells of.
        """
        self._after_fork()
        async with self._room:
            connection = await self._connection()
            try:
                response = await connection.exchange(
                    request.head(self._address.authority, self._token), request
                )
            except (OSError, EOFError, HTTPException, ValueError) as error:
                connection.abort()
                raise unreachable(self._address, error, sent=True) from error
            except BaseException:
                connection.abort()
                raise
            if connection.reusable and not self._closed:
                self._idle.append((connection, time.monotonic()))
            else:
                connection.abort()
        return result_of(request, response)

    async def lines(self, request: Request) -> AsyncIterator[str]:
        """Send a request, and yield the lines of an answer that goes on.

        Raises:
            ServerUnreachable: There is no server, or it went away.
            AirsSysError: What the server tells of.
        """
        self._after_fork()
        connection = await self._connection()
        try:
            head = request.head(self._address.authority, self._token)
            async for line in connection.lines(head, request):
                yield line
        except (OSError, EOFError, HTTPException) as error:
            raise unreachable(self._address, error, sent=True) from error
        finally:
            connection.abort()

    def close(self) -> None:
        """Close the connections that are idle; those in use close when they are done."""
        self._closed = True
        self._after_fork()
        while self._idle:
            self._idle.pop()[0].abort()

    def _after_fork(self) -> None:
        if self._process != os.getpid():
            # What is closed here is a copy: the parent's connections stay.
            for connection, _ in self._idle:
                connection.forget()
            self._idle, self._process = [], os.getpid()
            self._room = asyncio.Semaphore(_CONNECTIONS)

    async def _connection(self) -> _Connection:
        while self._idle:
            connection, since = self._idle.pop()
            if time.monotonic() - since < IDLE and connection.is_open:
                return connection
            connection.abort()
        address = self._address
        try:
            if address.path is not None:
                streams = await asyncio.open_unix_connection(str(address.path), limit=MOST_HEAD)
            else:
                tls = None
                if address.kind == "tls":
                    tls = self._tls or ssl.create_default_context()
                streams = await asyncio.open_connection(
                    address.host, address.port, ssl=tls, limit=MOST_HEAD
                )
        except OSError as error:
            raise unreachable(address, error, sent=False) from error
        return _Connection(*streams)


class _Connection:
    """One connection, used by one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self.reusable = False

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it, and this loop is its own."""
        here = asyncio.get_running_loop() is self._loop
        return here and not self._reader.at_eof() and not self._writer.is_closing()

    def abort(self) -> None:
        """Close it at once."""
        if not self._loop.is_closed():
            self._writer.transport.abort()

    def forget(self) -> None:
        """Close this process's copy of the descriptor, and nothing else."""
        with contextlib.suppress(OSError):
            os.close(self._writer.get_extra_info("socket").fileno())

    async def exchange(self, head: bytes, request: Request) -> Response:
        self.reusable = False
        status, headers = await self._begin(head, request)
        body = b""
        if status not in {204, 304}:
            body = await self._body(headers)
        self.reusable = headers.get("connection", "").lower() != "close"
        return Response(status, headers.get("content-type", ""), body)

    async def lines(self, head: bytes, request: Request) -> AsyncIterator[str]:
        status, headers = await self._begin(head, request)
        if status != 200:
            body = await self._body(headers)
            result_of(request, Response(status, headers.get("content-type", ""), body))
        rest = b""
        async for chunk in self._chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line.decode()

    async def _begin(self, head: bytes, request: Request) -> tuple[int, HTTPMessage]:
        self._writer.write(head)
        if request.body:
            self._writer.write(request.body)
        # The answer may come before all was sent: a refusal of what is too large.
        sending = asyncio.ensure_future(self._writer.drain())
        try:
            line = await self._reader.readuntil(b"\r\n")
            version, _, rest = line.decode("latin-1").partition(" ")
            if not version.startswith("HTTP/1."):
                raise HTTPException(f"the answer begins with {line[:40]!r}")
            headers = BytesIO()
            while line != b"\r\n":
                line = await self._reader.readuntil(b"\r\n")
                headers.write(line)
            headers.seek(0)
            return int(rest[:3]), parse_headers(headers)
        except asyncio.LimitOverrunError as error:
            raise HTTPException("the head of the answer is too long") from error
        finally:
            sending.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await sending

    async def _body(self, headers: HTTPMessage) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join([chunk async for chunk in self._chunks()])
        return await self._reader.readexactly(int(headers.get("content-length", "0")))

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readuntil(b"\r\n")
