"""HTTP/1.1 of uvicorn, with who is at the other end, and with an end to every wait for it."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

__all__ = ["ControlProtocol", "Peer", "peer_of"]

#: The three numbers of SO_PEERCRED: process, user, group.
_CREDENTIALS: Final = struct.Struct("3i")


class Peer:
    """The other end of a connection.

    Attributes:
        user: The number of the user, on a socket in the file system; None on TCP.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.user: int | None = None
        connected = transport.get_extra_info("socket")
        if connected is not None and connected.family == socket.AF_UNIX:
            found = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            _, self.user, _ = _CREDENTIALS.unpack(found)

    def abort(self) -> None:
        """Close the connection at once, whatever was not read or sent."""
        self._transport.abort()


class ControlProtocol(H11Protocol):
    """One connection. `request.state.peer` is a `Peer`.

    Args:
        patience: Seconds for the head of a request, from the connection or its first byte on, and
            for the rest of a body that nobody reads any more.
        settings: As uvicorn gives them.
    """

    def __init__(self, *, patience: float, **settings: Any) -> None:
        super().__init__(**settings)
        self._patience = patience
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Look who it is, and wait for a request only so long."""
        super().connection_made(transport)
        self._peer = Peer(transport)
        self.app_state = {**self.app_state, "peer": self._peer}
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head_came()
        elif self._began():
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._head_came()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Go on with the next request; a body that nobody wanted may come to its end."""
        unread = self.conn.their_state is h11.SEND_BODY
        super().on_response_complete()
        if self._began():
            self._await_head()
        if unread:
            self.loop.call_later(self._patience, self._end_lingering, self.cycle)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; one that never read its answer must not keep it."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _began(self) -> bool:
        """Whether a head has begun to come, and nobody waits for its end yet."""
        idle = self._head_deadline is None and self.conn.their_state is h11.IDLE
        return idle and bool(self.conn.trailing_data[0])

    def _await_head(self) -> None:
        self._head_deadline = self.loop.call_later(self._patience, self._peer.abort)

    def _head_came(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _end_lingering(self, cycle: Any) -> None:
        if self.cycle is cycle and self.conn.their_state is h11.SEND_BODY:
            self._peer.abort()


def peer_of(scope: Any) -> Peer:
    """Return who is at the other end of the connection that a request came on."""
    return cast("Peer", scope["state"]["peer"])
