"""Middleware: plain callables that see each delivery before its handler does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from airssys.rt._blueprint import Handler, Marker
from airssys.rt._mailbox import EXTRA, MESSAGE, SENDER, Extras

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.rt._cell import Cell
    from airssys.rt._mailbox import Envelope
    from airssys.rt.messages import DeadReason
    from airssys.rt.ref import Ref

__all__ = ["Delivery", "Drop", "Middleware"]


class Drop(Exception):
    """Raise in middleware to make the message a dead letter instead of delivering it."""

    def __init__(self, reason: DeadReason = "rejected") -> None:
        super().__init__(reason)
        self.reason: DeadReason = reason


class Delivery:
    """One delivery on its way to the handler.

    Attributes:
        postponed: Seconds by which middleware has put it off.
        finished: What is called with the error, or None, when the handler has ended.
        wrap: What the handler runs inside of, a context manager, if anything.
    """

    __slots__ = ("_cell", "_envelope", "finished", "handler", "postponed", "scopes")

    def __init__(self, cell: Cell, envelope: Envelope, handler: str) -> None:
        self._cell = cell
        self._envelope = envelope
        self.handler = handler
        self.postponed: float | None = None
        self.finished: list[Callable[[BaseException | None], object]] = []
        self.scopes: list[Callable[[], Callable[[BaseException | None], object]]] = []

    @property
    def message(self) -> Any:
        """The message; it must not be changed."""
        return self._envelope[MESSAGE]

    @property
    def ref(self) -> Ref[Any]:
        """Who gets it."""
        return self._cell.ref

    @property
    def sender(self) -> Ref[Any] | None:
        """The actor that sent it, if one did."""
        sender = self._envelope[SENDER]
        return None if sender is None else sender.ref

    @property
    def trace(self) -> str | None:
        """The W3C `traceparent` that came with it."""
        extra = self._envelope[EXTRA]
        return extra.trace if isinstance(extra, Extras) else None

    def postpone(self, seconds: float) -> None:
        """Deliver it that much later, behind what comes meanwhile."""
        self.postponed = seconds

    def on_finished(self, callback: Callable[[BaseException | None], object]) -> None:
        """Call back with what the handler raised, or None, when it has ended."""
        self.finished.append(callback)

    def inside(self, enter: Callable[[], Callable[[BaseException | None], object]]) -> None:
        """Call `enter` in the handler's own context before it, and what that returns after it."""
        self.scopes.append(enter)


Middleware: TypeAlias = "Callable[[Delivery], object]"

_NO_MARK = Marker((), reentrant=False, retry=0, active=True, budget=None)


def wrapped(handler: Handler, delivery: Delivery) -> Handler:
    """A handler that also does what middleware asked for, for this delivery only."""
    if not delivery.finished and not delivery.scopes:
        return handler
    function = handler.function

    def close(ends: list[Callable[[BaseException | None], object]], error: Any) -> None:
        for end in reversed(ends):
            end(error)
        for callback in delivery.finished:
            callback(error)

    def plain(actor: Any, message: Any) -> Any:
        ends = [enter() for enter in delivery.scopes]
        try:
            value = function(actor, message)
        except BaseException as error:
            close(ends, error)
            raise
        close(ends, None)
        return value

    async def coroutine(actor: Any, message: Any) -> Any:
        ends = [enter() for enter in delivery.scopes]
        try:
            value = await function(actor, message)
        except BaseException as error:
            close(ends, error)
            raise
        close(ends, None)
        return value

    made = Handler(plain if handler.plain else coroutine, _NO_MARK, handler.types)
    made.name = handler.name
    made.reentrant = handler.reentrant
    made.retry = handler.retry
    made.budget = handler.budget
    return made


def failing(handler: Handler, error: BaseException) -> Handler:
    """A handler that raises what middleware raised, so that supervision deals with it."""

    def plain(_actor: Any, _message: Any) -> Any:
        raise error

    made = Handler(plain, _NO_MARK, handler.types)
    made.name = handler.name
    made.retry = handler.retry
    return made
