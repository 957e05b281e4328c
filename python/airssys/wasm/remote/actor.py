"""Component actors of a server, as its clients reach them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airssys.rt import Priority, Reason
from airssys.wasm.actors.payloads import decode_payload, encode_payload
from airssys.wasm.codecs import MESSAGE_SIZE
from airssys.wasm.remote import operations, values
from airssys.wasm.remote.wire import StopRequest

if TYPE_CHECKING:
    from airssys.wasm.remote.host import ConnectedHost, ConnectedHostBase
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost
    from airssys.wasm.remote.wire import ActorState

__all__ = ["BlockingConnectedActor", "ConnectedActor"]

NORMAL = Priority.NORMAL


class _Actor:
    """What both forms have."""

    __slots__ = ("_codec", "_host", "deployment", "key")

    _host: ConnectedHostBase

    def __init__(self, host: ConnectedHostBase, deployment: str, key: str) -> None:
        self._host = host
        self.deployment = deployment
        self.key = key
        self._codec: str | None = None

    @property
    def address(self) -> str:
        """The name by which components reach it: `deployment`, or `deployment#key`."""
        return f"{self.deployment}#{self.key}" if self.key else self.deployment

    @property
    def alive(self) -> bool:
        """Whether the address takes messages."""
        return self._state().alive

    def tell(self, message: Any, priority: Priority = NORMAL, ttl: float | None = None) -> None:
        """Queue a message; one short request, which blocks.

        Args:
            message: A value that the deployment's codec can write, or a payload.
            priority: The lane it goes to.
            ttl: Seconds after which it is no longer handled.

        Raises:
            MailboxFull: The mailbox has no room.
        """
        payload = self._payload(message)
        request = operations.tell(
            self.deployment, self.key, payload, priority=int(priority), ttl=ttl
        )
        self._host.look(request)

    def _state(self) -> ActorState:
        found: ActorState = self._host.look(operations.actor(self.deployment, self.key))
        return found

    def _payload(self, message: Any) -> bytes:
        if isinstance(message, bytes):
            return message
        if self._codec is None:
            self._codec = self._state().codec
        # The server knows how large a message to it may be.
        return encode_payload(message, self._codec, 64 * MESSAGE_SIZE)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"


def _reply(packed: bytes) -> Any:
    payload = values.unpack(packed)
    return None if payload is None else decode_payload(payload)


class ConnectedActor(_Actor):
    """The address of a component actor of a server. Made by `ConnectedDeployment.actor`.

    As `ComponentRef`, without what only makes sense inside its actor system.
    """

    __slots__ = ()

    _host: ConnectedHost

    async def ask(self, message: Any, timeout: float = 5.0, priority: Priority = NORMAL) -> Any:
        """Ask and await the reply. Cancelling withdraws the request.

        Args:
            message: A value that the deployment's codec can write, or a payload.
            timeout: Seconds for waiting, queue and handling together.
            priority: The lane it goes to.

        Raises:
            AskTimeout: No reply in time.
            ActorFailed: The component failed.
            GuestRefused: It refused the request.
            RequestDropped: The request became a dead letter.
        """
        payload = self._payload(message)
        request = operations.ask(
            self.deployment, self.key, payload, timeout=timeout, priority=int(priority)
        )
        return _reply(await self._host.send(request))

    async def stop(self, *, timeout: float | None = None, drain: bool = False) -> Reason:
        """Stop it for good; return why it ended.

        Args:
            timeout: Seconds after which it becomes a kill; by default what the actor was given.
            drain: Handle what is queued first.
        """
        what = StopRequest(timeout=timeout, drain=drain)
        return Reason(await self._host.send(operations.stop(self.deployment, self.key, what)))

    async def kill(self) -> Reason:
        """End its incarnation without hooks; the supervisor decides about a restart."""
        what = StopRequest(kill=True)
        return Reason(await self._host.send(operations.stop(self.deployment, self.key, what)))


class BlockingConnectedActor(_Actor):
    """The address of a component actor of a server where every method blocks."""

    __slots__ = ()

    _host: BlockingConnectedHost

    def ask(self, message: Any, timeout: float = 5.0) -> Any:
        """Ask and wait for the reply; see `ConnectedActor.ask`."""
        payload = self._payload(message)
        request = operations.ask(
            self.deployment, self.key, payload, timeout=timeout, priority=int(NORMAL)
        )
        return _reply(self._host.look(request))

    def stop(self, *, timeout: float | None = None, drain: bool = False) -> Reason:
        """Stop it for good; return why it ended."""
        what = StopRequest(timeout=timeout, drain=drain)
        return Reason(self._host.look(operations.stop(self.deployment, self.key, what)))

    def kill(self) -> Reason:
        """End its incarnation without hooks; the supervisor decides about a restart."""
        what = StopRequest(kill=True)
        return Reason(self._host.look(operations.stop(self.deployment, self.key, what)))
