"""Actors whose mailbox and handlers are not Python: their cell keeps the tree, not the queue."""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from airssys.rt._cell import ENDED, Cell
from airssys.rt._request import WAITS, Request, Room

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from airssys.rt._dispatcher import Dispatcher
    from airssys.rt._mailbox import Extras
    from airssys.rt._options import Options
    from airssys.rt.books import Books, Inspection
    from airssys.rt.health import Health
    from airssys.rt.messages import DeadReason, Priority

__all__ = ["ForeignCell", "ForeignRequest", "Outside", "Site"]

T = TypeVar("T")


class Outside(Protocol):
    """The mailbox and the handlers of an actor that lives outside of Python.

    It belongs to one address and outlives incarnations. Every method is called on the thread of the
    system and returns at once.
    """

    def put(
        self,
        message: object,
        sender: Cell | None,
        extra: Request[Any] | Extras | None,
        priority: Priority,
    ) -> None:
        """Accept a message, or raise `MailboxFull`; after the end it becomes a dead letter."""
        ...

    def notice(self, message: object, sender: Cell | None) -> None:
        """Accept a notice of the runtime (`Down`, `Restarted`, `Exit`) in a reserved slot."""
        ...

    def must_wait(self, priority: Priority) -> bool:
        """Whether a sender that is willing to wait has to, in that lane."""
        ...

    def stand_in_line(self, room: Room) -> None:
        """Put what `room` holds into its lane as soon as there is room, in turn; settle it then."""
        ...

    def leave_line(self, room: Room) -> None:
        """Forget a sender that gave up."""
        ...

    def suspended(self, on: bool) -> None:
        """Take no further message, or go on."""
        ...

    def drain(self, done: Callable[[], None]) -> None:
        """Take no more, and call `done` once all that is queued was handled."""
        ...

    def release(self) -> bool:
        """The incarnation is over: what it holds goes now, without its help; False when it has.

        Poked once it has gone: `cell.details().control.poke()`.
        """
        ...

    def ended(self, reason: DeadReason) -> None:
        """The address has ended: what is queued dies of `reason`."""
        ...

    def waits_for(self) -> Cell | None:
        """The actor whose reply the handler in flight awaits."""
        ...

    async def health(self, timeout: float) -> Health:
        """Ask how it is, between messages; `UNKNOWN` where it does not say or is busy."""
        ...

    def books(self, pending: int) -> Books:
        """The counters, where `pending` asks from Python are not answered; from any thread."""
        ...

    def inspection(self, seen: Inspection) -> Inspection:
        """Complete what is seen from here; safe from any thread."""
        ...


class Site(Protocol):
    """Where the mailboxes of addresses outside are made: the first argument of the factory."""

    def attach(self, cell: ForeignCell) -> Outside:
        """Make the mailbox of a new address."""
        ...


class ForeignRequest(Request[T]):
    """An ask of an actor outside; withdrawing it reaches the mailbox there."""

    __slots__ = ("outcome",)

    cell: ForeignCell
    #: What comes of it outside; set by whoever took it there.
    outcome: asyncio.Future[Any]

    def withdraw(self) -> None:
        """The asker gave up."""
        super().withdraw()
        outcome = getattr(self, "outcome", None)
        if outcome is not None:
            outcome.cancel()


WAITS.add(ForeignRequest)


class ForeignCell(Cell):
    """The runtime's record of an actor that is not Python.

    Name, place in the tree, supervision, monitors and links are kept here as for any other; the
    queue and the handlers are `outside`, made by the `Site` that is the factory's first argument.
    """

    __slots__ = ("outside",)

    elsewhere: ClassVar[bool] = True
    request_type: ClassVar[type[Request[Any]]] = ForeignRequest

    outside: Outside

    def __init__(
        self,
        dispatcher: Dispatcher,
        parent: Cell | None,
        name: str,
        factory: Callable[..., Any],
        args: tuple[Any, ...],
        options: Options,
    ) -> None:
        super().__init__(dispatcher, parent, name, factory, args, options)
        self.limit = -1  # every sender takes the slow way, which ends in `put`
        site: Site = args[0]
        self.outside = site.attach(self)

    def resume(self) -> None:
        """Take a turn: there is never a message here, only orders."""
        if self.block:
            self.dispatcher.serve(self)
        else:
            self.idle = True

    def put(
        self,
        message: object,
        sender: Cell | None,
        extra: Request[Any] | Extras | None,
        priority: Priority,
    ) -> None:
        """Hand a message over, or raise `MailboxFull`."""
        if self.block & ENDED:
            self.bury(message, sender, extra, "no_actor")
        else:
            self.outside.put(message, sender, extra, priority)

    def put_reserved(self, message: object, sender: Cell | None) -> None:
        """Hand a notice of the runtime over."""
        if not self.block & ENDED:
            self.outside.notice(message, sender)

    def must_wait(self, priority: Priority) -> bool:
        """Whether a sender that is willing to wait has to, in that lane."""
        return not self.closed and self.outside.must_wait(priority)

    def stand_in_line(
        self,
        message: object,
        sender: Cell | None,
        extra: Request[Any] | Extras | None,
        priority: Priority,
    ) -> Room:
        """Wait for room behind those who wait already."""
        room = Room(self, message, sender, extra, priority)
        self.dispatcher.backpressure(self, priority)
        self.outside.stand_in_line(room)
        return room

    def leave_line(self, room: Room) -> None:
        """Forget a sender that gave up."""
        self.outside.leave_line(room)

    def suspension(self, on: bool) -> None:
        """Take no further message, or go on."""
        self.outside.suspended(on)

    def start_draining(self, done: Callable[[], None]) -> None:
        """Take no more, and call `done` once all that is queued was handled."""
        self.outside.drain(done)

    def release(self) -> bool:
        """Let go of the incarnation; False when nothing is held any more."""
        return self.outside.release()

    def bury_queue(self, reason: DeadReason) -> None:
        """The address has ended."""
        self.outside.ended(reason)

    def awaited(self) -> Cell | None:
        """The actor that this one waits for."""
        return super().awaited() if self.run is not None else self.outside.waits_for()

    @property
    def queued(self) -> int:
        """Messages in all lanes."""
        return self.outside.books(0).queued

    @property
    def stashed(self) -> int:
        """Messages put aside."""
        return self.outside.books(0).stashed

    @property
    def in_flight(self) -> int:
        """Messages whose handler has begun and not ended."""
        return self.outside.books(0).in_flight
