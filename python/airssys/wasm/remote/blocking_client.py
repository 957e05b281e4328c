"""HTTP/1.1 to one server, without an event loop."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
import time
from http.client import HTTPConnection, HTTPException
from typing import IO, TYPE_CHECKING, Any

from airssys.wasm.remote.request import Request, Response, result_of
from airssys.wasm.remote.unreachable import IDLE, unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse

    from airssys.wasm.remote.address import Address

__all__ = ["BlockingClient"]


class BlockingClient:
    """Sends requests, each on a connection that is its own meanwhile. Safe to use from any thread.

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
        self._one_change = threading.Lock()
        self._closed = False

    def send(self, request: Request) -> Any:
        """Send a request and return what the answer holds.

        `KeyboardInterrupt` closes the connection, which tells the server that nobody waits.

        Raises:
            ServerUnreachable: There is no server, or it went away.
            AirsSysError: What the server tells of.
        """
        connection = self._connection()
        try:
            answer = self._begin(connection, request)
            body = answer.read()
        except (OSError, EOFError, HTTPException, ValueError) as error:
            connection.close()
            raise unreachable(self._address, error, sent=True) from error
        except BaseException:
            connection.close()
            raise
        response = Response(answer.status, answer.headers.get("content-type", ""), body)
        with self._one_change:
            keep = not answer.will_close and not self._closed
            if keep:
                self._idle.append((connection, time.monotonic()))
        if not keep:
            connection.close()
        return result_of(request, response)

    def lines(self, request: Request) -> Iterator[str]:
        """Send a request, and yield the lines of an answer that goes on.

        Raises:
            ServerUnreachable: There is no server, or it went away.
            AirsSysError: What the server tells of.
        """
        with self._answered(request) as answer:
            try:
                for line in answer:
                    yield line.decode().rstrip("\r\n")
            except (OSError, EOFError, HTTPException) as error:
                raise unreachable(self._address, error, sent=True) from error

    def save(self, request: Request, file: IO[bytes]) -> int:
        """Send a request, and write the content of the answer to a file; return its bytes.

        Raises:
            ServerUnreachable: There is no server, or it went away before the end.
            AirsSysError: What the server tells of.
            OSError: The file cannot be written.
        """
        size = 0
        with self._answered(request) as answer:
            while True:
                try:
                    chunk = answer.read(1 << 18)
                except (OSError, EOFError, HTTPException) as error:
                    raise unreachable(self._address, error, sent=True) from error
                if not chunk:
                    break
                file.write(chunk)
                size += len(chunk)
            announced = answer.headers.get("content-length")
        if announced is not None and int(announced) != size:
            cut = EOFError(f"{size} of {announced} bytes came")
            raise unreachable(self._address, cut, sent=True) from cut
        return size

    @contextlib.contextmanager
    def _answered(self, request: Request) -> Iterator[HTTPResponse]:
        """Send a request on a connection that is closed afterwards; hold the answer."""
        connection = self._connection()
        try:
            try:
                answer = self._begin(connection, request)
                refusal = None if answer.status == 200 else answer.read()
            except (OSError, EOFError, HTTPException) as error:
                raise unreachable(self._address, error, sent=True) from error
            if refusal is not None:
                media = answer.headers.get("content-type", "")
                result_of(request, Response(answer.status, media, refusal))
            yield answer
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connections that are idle; those in use close when they are done."""
        self._after_fork()
        with self._one_change:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def _begin(self, connection: _Connection, request: Request) -> HTTPResponse:
        connection.send(request.head(self._address.authority, self._token))
        try:
            if request.body:
                connection.send(request.body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered before all was sent: a refusal of what is too large
        return connection.answer(request.method)

    def _connection(self) -> _Connection:
        self._after_fork()
        while True:
            with self._one_change:
                if not self._idle:
                    break
                connection, since = self._idle.pop()
            if time.monotonic() - since < IDLE and connection.is_open:
                return connection
            connection.close()
        connection = _Connection(self._address, self._tls)
        try:
            connection.connect()
        except OSError as error:
            raise unreachable(self._address, error, sent=False) from error
        return connection

    def _after_fork(self) -> None:
        if self._process == os.getpid():
            return
        # The lock may have been held when the process forked. What is closed is a copy.
        self._one_change = threading.Lock()
        idle, self._idle, self._process = self._idle, [], os.getpid()
        for connection, _ in idle:
            connection.close()


class _Connection(HTTPConnection):
    """One connection, used by one request at a time."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        super().__init__(address.host or "localhost", address.port or None)
        self._address = address
        self._context = tls
        self._answer: HTTPResponse | None = None

    def connect(self) -> None:
        """Connect to the address."""
        if self._address.path is not None:
            self.sock = socket.socket(socket.AF_UNIX)
            try:
                self.sock.connect(str(self._address.path))
            except BaseException:
                self.sock.close()
                raise
            return
        super().connect()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._address.kind == "tls":
            context = self._context or ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self._address.host)

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it."""
        if self.sock is None:
            return False
        look = select.poll()  # takes any descriptor, where `select` takes those below 1,024
        look.register(self.sock, select.POLLIN)
        return not look.poll(0)

    def answer(self, method: str) -> HTTPResponse:
        """Read the head of an answer."""
        self._answer = answer = self.response_class(self.sock, method=method)
        answer.begin()
        return answer

    def close(self) -> None:
        """Close it, and what is left of an answer, which has a hold on the socket."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()
        super().close()
