"""The runtime's record of one actor: address, mailbox, state. It outlives incarnations."""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airssys.rt._control import Drain
from airssys.rt._mailbox import EXTRA, MESSAGE, NEXT, SENDER, Envelope, Extras, Lane, Lanes
from airssys.rt._request import Request, Room, Wait
from airssys.rt.errors import MailboxFull, RequestDropped
from airssys.rt.messages import Down, Exit, Priority, Restarted

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from airssys.rt._blueprint import Handler
    from airssys.rt._details import Details
    from airssys.rt._dispatcher import Dispatcher
    from airssys.rt._options import Options
    from airssys.rt._run import Run
    from airssys.rt.actor import Actor
    from airssys.rt.messages import DeadReason
    from airssys.rt.ref import LocalRef

__all__ = [
    "BUSY",
    "CLOSED",
    "ENDED",
    "ENDING",
    "RESTARTING",
    "SIGNAL",
    "STARTING",
    "SUSPENDED",
    "Cell",
]

# Bits of `Cell.block`; a cell with none of them set takes its next message.
STARTING = 1  # `started` runs, for the first time
SUSPENDED = 2  # by order
RESTARTING = 4  # between two incarnations
ENDING = 8  # on the way to its end
ENDED = 16
BUSY = 32  # a handler or a hook is suspended
SIGNAL = 64  # an order waits to be served
CLOSED = 128  # the mailbox takes no more

NORMAL = Priority.NORMAL

#: What the runtime sends to one incarnation only.
NOTICES = frozenset({Down, Restarted, Exit})


class Cell(Lane):
    """One actor. The cell is itself the normal lane of its mailbox, which saves an object each.

    Attributes:
        block: Why no message is taken now, as bits; 0 when one may be.
        idle: Nothing is queued and nothing blocks; the next message makes the cell ready.
        limit: Messages that the normal lane takes; -1 sends every sender the slow way.
        run: The run that holds the actor (a non-reentrant handler, or a hook).
        more: What few actors need.
        elsewhere: Whether queue and handlers are not here (`ForeignCell`).
        request_type: What an ask of this actor is.
    """

    elsewhere: ClassVar[bool] = False
    request_type: ClassVar[type[Request[Any]]] = Request

    __slots__ = (
        "accepted",
        "actor",
        "answered",
        "args",
        "asked",
        "block",
        "children",
        "context",
        "dispatcher",
        "factory",
        "handled",
        "idle",
        "lanes",
        "last",
        "limit",
        "more",
        "name",
        "options",
        "parent",
        "ref",
        "run",
        "table",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        parent: Cell | None,
        name: str,
        factory: Callable[..., Any],
        args: tuple[Any, ...],
        options: Options,
    ) -> None:
        self.head: Envelope | None = None
        self.tail: Envelope | None = None
        self.count = 0
        self.dispatcher = dispatcher
        self.parent = parent
        self.name = name
        self.factory = factory
        self.args = args
        self.options = options
        self.limit = options.mailbox.capacity
        self.block = STARTING
        self.idle = False
        self.accepted = 0
        self.handled = 0
        self.asked = 0
        self.answered = 0
        self.lanes: Lanes | None = None
        self.run: Run | None = None
        self.children: dict[str, Cell] | None = None
        self.more: Details | None = None
        self.last: Handler | None = None
        self.context: Any = None
        self.actor: Actor | None = None
        self.table: dict[type, Handler] = {}
        self.ref: LocalRef[Any]

    def __repr__(self) -> str:
        return f"<Cell {self.path}>"

    @property
    def path(self) -> str:
        """The names from the root down, as `/bank/ann`."""
        names: list[str] = []
        cell, parent = self, self.parent
        while parent is not None:
            names.append(cell.name)
            cell, parent = parent, parent.parent
        return "/" + "/".join(reversed(names))

    @property
    def uid(self) -> int:
        """Tells this actor from later ones of its name; given out when first asked for."""
        more = self.details()
        if not more.uid:
            more.uid = self.dispatcher.system.next_number()
        return more.uid

    @property
    def closed(self) -> bool:
        """Whether the mailbox takes no more."""
        return bool(self.block & CLOSED) or (self.more is not None and self.more.draining)

    def details(self) -> Details:
        """What few actors need, made on first use."""
        more = self.more
        if more is None:
            from airssys.rt._details import Details  # noqa: PLC0415 - a cycle otherwise

            more = self.more = Details()
        return more

    # Putting in.

    def put(
        self,
        message: object,
        sender: Cell | None,
        extra: Request[Any] | Extras | None,
        priority: Priority,
    ) -> None:
        """Accept a message or raise `MailboxFull`; after the end it becomes a dead letter."""
        if self.closed:
            self.accepted += 1
            self.bury(message, sender, extra, "no_actor" if self.block & ENDED else "stopped")
            return
        lane = self.lane(priority)
        capacity = self.options.mailbox.capacity
        lanes = self.lanes
        if lane.count >= capacity or (lanes is not None and lanes.has_rooms(priority)):
            full = self.options.mailbox.full
            if full in {"fail", "wait"}:
                self.dispatcher.backpressure(self, priority)
                raise MailboxFull(
                    f"the {priority.name.lower()} lane of {self.path} holds {capacity} messages "
                    f"and is full ({full}); slow down, `await ref.send(...)`, or raise its bound",
                    path=self.path,
                    capacity=capacity,
                )
            if full == "drop-newest":
                self.accepted += 1
                self.bury(message, sender, extra, "overflow")
                return
            self._bury_envelope(lane.pop(), "overflow")
        self.append(lane, message, sender, extra)

    def append(
        self, lane: Lane, message: object, sender: Cell | None, extra: Request[Any] | Extras | None
    ) -> None:
        """Queue a message without looking at the bound."""
        self.accepted = sequence = self.accepted + 1
        lane.push([message, sender, sequence, extra, None])
        if self.idle:
            self.idle = False
            self.dispatcher.enqueue(self)

    def put_reserved(self, message: object, sender: Cell | None) -> None:
        """Queue a notice of the runtime, in the slot that was reserved when it was asked for."""
        if self.closed:
            self.accepted += 1
            self.bury(message, sender, None, "stopped")
        else:
            self.append(self, message, sender, None)

    def lane(self, priority: Priority) -> Lane:
        """The lane of that priority, made where it is missing."""
        return self if priority is NORMAL else self._open_lanes().lane(priority, self)

    def _open_lanes(self) -> Lanes:
        lanes = self.lanes
        if lanes is None:
            lanes = self.lanes = Lanes()
        return lanes

    # Waiting for room.

    def stand_in_line(
        self,
        message: object,
        sender: Cell | None,
        extra: Request[Any] | Extras | None,
        priority: Priority,
    ) -> Room:
        """Wait for room behind those who wait already; nothing overtakes them."""
        lanes = self._open_lanes()
        rooms = lanes.rooms_of(priority)
        if len(rooms) >= self.options.mailbox.waiting:
            raise MailboxFull(
                f"{len(rooms)} senders wait for room in {self.path} already, which is its limit",
                path=self.path,
            )
        room = Room(self, message, sender, extra, priority)
        rooms.append(room)
        if priority is NORMAL:
            self.limit = -1
        self.dispatcher.backpressure(self, priority)
        return room

    def must_wait(self, priority: Priority) -> bool:
        """Whether a sender that is willing to wait has to, in that lane."""
        if self.closed or self.options.mailbox.full not in {"fail", "wait"}:
            return False
        lanes = self.lanes
        if lanes is None:
            return priority is NORMAL and self.count >= self.options.mailbox.capacity
        lane = lanes.lane(priority, self)
        return lane.count >= self.options.mailbox.capacity or lanes.has_rooms(priority)

    def leave_line(self, room: Room) -> None:
        """Forget a sender that gave up."""
        lanes = self.lanes
        if lanes is not None:
            rooms = lanes.rooms_of(room.priority)
            if room in rooms:
                rooms.remove(room)
            self._reopen(rooms, room.priority)

    def _reopen(self, rooms: deque[Room], priority: Priority) -> None:
        if priority is NORMAL and not rooms and not self.closed:
            self.limit = self.options.mailbox.capacity

    def admit(self) -> None:
        """Give the room that has appeared to those who wait, first come first."""
        lanes = self.lanes
        if lanes is None or not lanes.rooms:
            return
        for priority, rooms in lanes.rooms.items():
            lane = lanes.lane(priority, self)
            while rooms and lane.count < self.options.mailbox.capacity:
                room = rooms.popleft()
                if room.done():
                    continue
                if room.timer is not None:
                    room.timer.cancel()
                if isinstance(room.extra, Request):
                    room.extra.room = None
                self.append(lane, room.message, room.sender, room.extra)
                room.settle(None)
            self._reopen(rooms, priority)
        if lanes.empty:
            self.lanes = None  # back to the fast way

    # Taking out.

    def take(self) -> Envelope | None:
        """The next envelope when there is more than the normal lane; None when there is none."""
        lanes = self.lanes
        while lanes is not None:
            if lanes.replay.head is not None:
                return lanes.replay.pop()
            lane = lanes.choose(self)
            if lane is None:
                if lanes.empty:
                    self.lanes = None
                return None
            envelope = lane.pop()
            if lanes.rooms:
                self.admit()
            if type(envelope[MESSAGE]) is Down and self._postponed(envelope, lanes):
                continue
            return envelope
        return self.pop() if self.head is not None else None

    def _postponed(self, envelope: Envelope, lanes: Lanes) -> bool:
        # A `Down` comes after everything that its target sent, in whichever lane that waits.
        for lane in (*lanes.all(self), lanes.replay):
            if lane.holds_from(envelope[SENDER]):
                lane.push(envelope)
                return True
        return False

    def put_back(self, envelope: Envelope) -> None:
        """Put a message that is to be tried again at the head of its lane."""
        extra = envelope[EXTRA]
        priority = extra.priority if isinstance(extra, Extras) else NORMAL
        lane = self.lane(priority)
        lane.push_front(envelope)

    def replay(self, envelopes: list[Envelope]) -> None:
        """Deliver these before anything that is queued."""
        lane = self._open_lanes().replay
        for envelope in envelopes:
            lane.push(envelope)
        if self.idle and envelopes:
            self.idle = False
            self.dispatcher.enqueue(self)

    # Dead letters.

    def bury(
        self,
        message: object,
        sender: Cell | None,
        extra: Request[Any] | Extras | None,
        reason: DeadReason,
        error: BaseException | None = None,
    ) -> None:
        """Make an accepted message a dead letter; its asker, if any, learns it at once."""
        more = self.details()
        more.dead += 1
        more.dead_by_reason[reason] = more.dead_by_reason.get(reason, 0) + 1
        request = extra
        if isinstance(extra, Extras):
            if extra.place is not None:
                extra.place.left()
                extra.place = None
            request = extra.request
        if isinstance(request, Request):
            if error is not None:
                request.handler_failed(error)
            else:
                request.drop(reason)
        self.dispatcher.dead_letters.record(
            message, self.ref, None if sender is None else sender.ref, reason, error
        )

    def _bury_envelope(self, envelope: Envelope, reason: DeadReason) -> None:
        self.bury(envelope[MESSAGE], envelope[SENDER], envelope[EXTRA], reason)

    def bury_queue(self, reason: DeadReason) -> None:
        """Make everything queued and stashed a dead letter and turn away who waits for room."""
        lanes = self.lanes
        queued: list[Envelope] = []
        if lanes is not None:
            for lane in (lanes.replay, lanes.critical, lanes.high):
                queued += lane.envelopes()
            queued += self.envelopes() + lanes.low.envelopes()
            self.lanes = None
        else:
            queued = self.envelopes()
        self.head = self.tail = None
        self.count = 0
        more = self.more
        if more is not None and more.stash:
            queued += more.stash
            more.stash = []
        self._turn_away_from(lanes, reason)
        for envelope in queued:
            envelope[NEXT] = None
            self._bury_envelope(envelope, reason)

    def turn_away_all(self, reason: DeadReason) -> None:
        """Fail everyone who waits for room."""
        self._turn_away_from(self.lanes, reason)

    def _turn_away_from(self, lanes: Lanes | None, reason: DeadReason) -> None:
        if lanes is not None and lanes.rooms:
            rooms, lanes.rooms = lanes.rooms, None
            for line in rooms.values():
                for room in line:
                    self._turn_away(room, reason)

    def _turn_away(self, room: Room, reason: DeadReason) -> None:
        if room.timer is not None:
            room.timer.cancel()
        request = room.extra
        if isinstance(request, Request):
            request.room = None
            request.drop(reason)
        room.fail(
            RequestDropped(
                f"{self.path} ended ({reason}) while the sender waited for room",
                path=self.path,
                reason=reason,
            )
        )

    def bury_stale(self) -> None:
        """Make what the ended incarnation had sent itself dead letters."""
        lanes = self.lanes
        stale = self.take_out(self._is_stale)
        if lanes is not None:
            for lane in (lanes.replay, lanes.critical, lanes.high, lanes.low):
                stale += lane.take_out(self._is_stale)
        for envelope in stale:
            self._bury_envelope(envelope, "stale")
        self.admit()

    def _is_stale(self, envelope: Envelope) -> bool:
        return envelope[SENDER] is self or envelope[MESSAGE].__class__ in NOTICES

    # What an actor that is not Python does otherwise.

    def suspension(self, on: bool) -> None:
        """Take no further message, or go on: the dispatcher looks at `block` itself."""

    def start_draining(self, done: Callable[[], None]) -> None:
        """Call `done` once all that is queued was handled."""
        self.append(self, Drain(done), None, None)

    def release(self) -> bool:
        """Let go of what an incarnation holds outside of Python; False when nothing is held."""
        return False

    def awaited(self) -> Cell | None:
        """The actor that this one waits for."""
        run = self.run
        waiting = run._fut_waiter if run is not None else None
        return waiting.cell if isinstance(waiting, Wait) else None

    # Counting.

    @property
    def queued(self) -> int:
        """Messages in all lanes."""
        lanes = self.lanes
        if lanes is None:
            return self.count
        return sum(lane.count for lane in lanes.all(self)) + lanes.replay.count

    @property
    def stashed(self) -> int:
        """Messages put aside, by the actor or by middleware."""
        return 0 if self.more is None else len(self.more.stash) + self.more.postponed

    @property
    def in_flight(self) -> int:
        """Messages whose handler has begun and not ended."""
        run = self.run
        flying = 1 if run is not None and not run.hook else 0
        if self.more is not None and self.more.runs:
            flying += len(self.more.runs)
        dispatcher = self.dispatcher
        if dispatcher.current is self and dispatcher.letter is not None:
            current = dispatcher.run
            parked = current is not None and (
                current is run or (self.more is not None and current in (self.more.runs or ()))
            )
            flying += 0 if parked else 1
        return flying
