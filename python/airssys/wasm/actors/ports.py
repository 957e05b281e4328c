"""Python actors as components see them: an address, credits for messages, replies."""

# pyright: reportPrivateUsage=false
# A port stands in front of a cell and knows it.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airssys.rt import ActorFailed, Priority, RequestDropped
from airssys.rt._mailbox import Extras
from airssys.rt._request import Request
from airssys.wasm import codecs
from airssys.wasm.actors.payloads import decode_payload
from airssys.wasm.codecs import CodecError

if TYPE_CHECKING:
    from collections.abc import Collection

    from airssys.rt._cell import Cell
    from airssys.rt.messages import DeadReason
    from airssys.wasm._native import _core
    from airssys.wasm.actors.exchange import Exchange

__all__ = ["PythonPort"]

TELL, ASK, PUBLICATION = range(3)


class Credit:
    """The place of one message that crossed over; it is given back when the queue has left it."""

    __slots__ = ("port", "size")

    def __init__(self, port: PythonPort, size: int) -> None:
        self.port = port
        self.size = size

    def left(self) -> None:
        """The message is queued no longer."""
        self.port.give_back(self.size)


class CrossedRequest(Request[Any]):
    """An ask by a component: what comes of it goes back over the boundary.

    The component's side keeps the deadline, so nothing waits for it here.
    """

    __slots__ = ("codec", "port", "token")

    codec: str
    port: _core.Port
    token: int

    def answer(self, value: Any) -> None:
        """Reply in the codec of the request; `bytes` pass as they are."""
        waiting = not self.done()
        super().answer(value)
        if waiting:
            if value is not None and not isinstance(value, bytes):
                try:
                    value = codecs.encode(value, self.codec)
                except CodecError as error:
                    self.port.fail(self.token, str(error), "undecodable")
                    return
            self.port.reply(self.token, value)

    def refuse(self, error: BaseException) -> None:
        """Tell the component why there is no reply."""
        waiting = not self.done()
        super().refuse(error)
        if not waiting:
            return
        if isinstance(error, RequestDropped):
            self.port.fail(self.token, str(error), str(error.context["reason"]))
        elif isinstance(error, ActorFailed):
            self.port.fail(self.token, str(error))
        else:
            self.port.refuse(self.token, str(error))


class PythonPort:
    """One Python actor as a target of components.

    Args:
        exchange: Where it is known.
        cell: The actor.
        address: The name that components use.
        expected: What payloads are decoded to, as an annotation; None takes what is there, `bytes`
            the payload itself.
        accepts: The codecs that are taken, by name; those that are registered now where it is None.

    Raises:
        UnknownCodec: There is none of a name.
        NameTaken: Another actor has the address.
    """

    def __init__(
        self,
        exchange: Exchange,
        cell: Cell,
        address: str,
        expected: Any = None,
        accepts: Collection[str] | None = None,
    ) -> None:
        self.address = address
        self.cell = cell
        self._exchange = exchange
        self._expected = expected
        self.native = exchange.plane.port(
            address,
            exchange.bridge,
            capacity=cell.options.mailbox.capacity,
            accepts=codecs.numbers(accepts),
        )
        self._messages = 0
        self._size = 0

    def take(
        self,
        sender: str,
        payload: bytes,
        kind: int,
        token: int,
        deadline: float,
        trace: str | None,
        priority: int,
        callers: _core.Callers | None = None,
    ) -> None:
        """Put a message that has crossed over into the actor's mailbox."""
        cell = self.cell
        origin = self._exchange.cell_of(sender) if sender else None
        request: CrossedRequest | None = None
        if kind == ASK:
            request = self._request(payload, token, deadline)
        extra = Extras(
            place=Credit(self, len(payload)),
            request=request,
            trace=trace,
            priority=Priority(priority),
            expires=None if request is None else request.expires,
            callers=callers,
        )
        try:
            message = decode_payload(payload, self._expected)
        except CodecError:
            self._bury(payload, origin, extra, "undecodable")
            return
        if cell.closed:
            self._bury(message, origin, extra, "stopped" if cell.name else "no_actor")
            return
        cycle = None if request is None or origin is None else self._exchange.cycle(origin, cell)
        if cycle is not None and request is not None:
            cell.accepted += 1
            self.native.fail(token, f"waiting would never end: {cycle}")
            cell.bury(message, origin, extra, "rejected")
            return
        # The credit that it crossed with is its place: the bound was looked at before.
        cell.append(cell.lane(extra.priority), message, origin, extra)

    def _request(self, payload: bytes, token: int, deadline: float) -> CrossedRequest:
        left = deadline - self._exchange.plane.now
        cell = self.cell
        request = CrossedRequest(cell, self._exchange.crossed, cell.dispatcher.clock() + left)
        request.codec = codecs.codec_of(payload).name
        request.port = self.native
        request.token = token
        cell.asked += 1
        return request

    def _bury(
        self, message: object, sender: Cell | None, extra: Extras, reason: DeadReason
    ) -> None:
        self.cell.accepted += 1
        self.cell.bury(message, sender, extra, reason)

    def give_back(self, size: int) -> None:
        """One message of `size` bytes is queued no longer."""
        if not self._messages:
            self._exchange.system.loop.call_soon(self._return_credit)
        self._messages += 1
        self._size += size

    def _return_credit(self) -> None:
        messages, size = self._messages, self._size
        self._messages = self._size = 0
        self.native.credit(messages, size)

    def close(self) -> None:
        """Be no target any more."""
        self.native.close()
