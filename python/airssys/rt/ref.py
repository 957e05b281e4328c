"""References to actors: the only way to reach one."""

from __future__ import annotations

import concurrent.futures
from threading import get_ident
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, cast

from airssys._callers import callers
from airssys.rt._cell import ENDED, ENDING, RESTARTING, STARTING, SUSPENDED, Cell
from airssys.rt._mailbox import Extras
from airssys.rt._request import Bucket, Request
from airssys.rt.errors import (
    InvalidSpec,
    MailboxFull,
    NoCurrentActor,
    RequestDropped,
    SendTimeout,
)
from airssys.rt.messages import Ask, Down, Message, Priority, Reason
from airssys.rt.monitors import Monitor

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from airssys.rt._request import Room

__all__ = ["LocalRef", "Ref", "ThreadsafeRef"]

TargetT_co = TypeVar("TargetT_co", covariant=True)
ReplyT = TypeVar("ReplyT")

NORMAL = Priority.NORMAL


class ThreadsafeRef(Protocol[TargetT_co]):
    """The way into a system from another thread."""

    def tell(self, message: Message[TargetT_co]) -> None:
        """Hand a message to the loop of the system; raises `MailboxFull` when too many wait."""
        ...

    def ask(
        self, message: Ask[TargetT_co, ReplyT], timeout: float = 5.0
    ) -> concurrent.futures.Future[ReplyT]:
        """Ask from another thread; the future gets the reply or what the ask raised."""
        ...


class Ref(Protocol[TargetT_co]):
    """The address of an actor, whatever it is made of and however often it was restarted.

    Hashable, comparable, and picklable by name within a process. It never reaches a later actor of
    the same name.
    """

    __slots__ = ()

    @property
    def path(self) -> str:
        """Where the actor stands in its system, as `/bank/ann`."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the address takes messages."""
        ...

    @property
    def threadsafe(self) -> ThreadsafeRef[TargetT_co]:
        """The way in from other threads."""
        ...

    def tell(
        self,
        message: Message[TargetT_co],
        priority: Priority = NORMAL,
        ttl: float | None = None,
    ) -> None:
        """Queue a message and return at once.

        Args:
            message: Must not be changed afterwards.
            priority: The lane it goes to.
            ttl: Seconds after which it is no longer handled.

        Raises:
            MailboxFull: The lane is full and the mailbox's policy is `fail` or `wait`.
            WrongThread: The system lives in another thread; use `threadsafe`.
        """
        ...

    async def send(
        self,
        message: Message[TargetT_co],
        timeout: float = 5.0,
        *,
        priority: Priority = NORMAL,
        ttl: float | None = None,
    ) -> None:
        """Queue a message, waiting for room in turn; on cancel nothing was sent.

        Raises:
            SendTimeout: There was no room within `timeout` seconds.
            WaitCycle: Waiting would close a cycle of waiting actors.
            RequestDropped: The actor ended meanwhile.
        """
        ...

    def ask(
        self,
        message: Ask[TargetT_co, ReplyT],
        timeout: float = 5.0,
        priority: Priority = NORMAL,
    ) -> Awaitable[ReplyT]:
        """Queue a request; await the result for the reply. Cancelling it withdraws the request.

        Args:
            message: The request.
            timeout: Seconds for waiting, queue and handling together.
            priority: The lane it goes to.

        Raises:
            AskTimeout: No reply in time.
            ActorFailed: The handler raised.
            RequestDropped: The request became a dead letter.
            MailboxFull: The lane is full and the policy is `fail`.
            WaitCycle: Waiting would close a cycle of waiting actors.
        """
        ...

    def stop(self, *, timeout: float | None = None, drain: bool = False) -> Awaitable[Reason]:
        """Order an end for good; await the result to wait for it.

        Args:
            timeout: Seconds after which it becomes a kill; by default what the actor was given.
            drain: Handle what is queued first.
        """
        ...

    def kill(self) -> Awaitable[Reason]:
        """Order an end without hooks; the supervisor decides about a restart.

        The result resolves when the incarnation is gone, restarted or not.
        """
        ...

    def monitor(self, *, restarts: bool = False) -> Monitor:
        """Have the current actor told by `Down` when this one ends.

        Raises:
            NoCurrentActor: Not called from an actor.
        """
        ...

    def link(self) -> None:
        """Tie the current actor to this one: the abnormal end of either fails the other."""
        ...

    def unlink(self) -> None:
        """Untie the current actor from this one."""
        ...


class LocalRef(Ref[TargetT_co]):
    """The address of an actor in this process."""

    __slots__ = ("__weakref__", "_cell")

    #: What keeps the actor in its system.
    cell_type: ClassVar[type[Cell]] = Cell

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def __repr__(self) -> str:
        return f"<Ref {self._cell.dispatcher.system.name}:{self._cell.path}>"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        from airssys.rt.system import resolve_address  # noqa: PLC0415 - a cycle otherwise

        cell = self._cell
        return resolve_address, (cell.dispatcher.system.name, cell.path, cell.uid)

    @property
    def path(self) -> str:
        """Where the actor stands in its system, as `/bank/ann`."""
        return self._cell.path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self._cell.name

    @property
    def alive(self) -> bool:
        """Whether the address takes messages."""
        return not self._cell.closed

    @property
    def state(self) -> str:
        """`starting running suspended restarting stopping stopped failed`."""
        return state_of(self._cell)

    @property
    def threadsafe(self) -> ThreadsafeRef[TargetT_co]:
        """The way in from other threads."""
        ref: LocalThreadsafeRef[TargetT_co] = LocalThreadsafeRef(self._cell)
        return ref

    def tell(
        self,
        message: Message[TargetT_co],
        priority: Priority = NORMAL,
        ttl: float | None = None,
    ) -> None:
        """Queue a message and return at once; see `Ref.tell`."""
        cell = self._cell
        dispatcher = cell.dispatcher
        sender = dispatcher.current
        if (
            sender is None
            or cell.count >= cell.limit
            or priority is not NORMAL
            or ttl is not None
            or dispatcher.carries
            or get_ident() != dispatcher.thread
        ):
            self._tell(message, priority, ttl)
            return
        cell.accepted = sequence = cell.accepted + 1
        envelope = [message, sender, sequence, None, None]
        tail = cell.tail
        if tail is None:
            cell.head = envelope
        else:
            tail[4] = envelope
        cell.tail = envelope
        cell.count += 1
        if cell.idle:
            cell.idle = False
            dispatcher.ready.append(cell)
            if not dispatcher.scheduled:
                dispatcher.schedule()

    def _tell(self, message: object, priority: Priority, ttl: float | None) -> None:
        cell = self._cell
        dispatcher = cell.dispatcher
        if get_ident() != dispatcher.thread:
            raise dispatcher.wrong_thread()
        sender = dispatcher.current
        if sender is None:
            sender = dispatcher.sender()
            if sender is not None and not dispatcher.may_send():
                cell.accepted += 1
                cell.bury(message, sender, None, "rejected")
                return
        if priority is not NORMAL:
            priority = Priority(priority)
        cell.put(message, sender, self._extras(priority, ttl, None), priority)

    def _extras(
        self, priority: Priority, ttl: float | None, request: Request[Any] | None
    ) -> Extras | Request[Any] | None:
        dispatcher = self._cell.dispatcher
        trace = dispatcher.system.current_trace() if dispatcher.traced else None
        served = callers.get() if dispatcher.serves else None
        if priority is NORMAL and ttl is None and trace is None and served is None:
            return request
        expires = None if ttl is None else dispatcher.clock() + ttl
        return Extras(
            expires=expires, priority=priority, request=request, trace=trace, callers=served
        )

    async def send(
        self,
        message: Message[TargetT_co],
        timeout: float = 5.0,
        *,
        priority: Priority = NORMAL,
        ttl: float | None = None,
    ) -> None:
        """Queue a message, waiting for room in turn; see `Ref.send`."""
        cell = self._cell
        dispatcher = cell.dispatcher
        if get_ident() != dispatcher.thread:
            raise dispatcher.wrong_thread()
        if priority is not NORMAL:
            priority = Priority(priority)
        if not cell.must_wait(priority):
            self._tell(message, priority, ttl)
            return
        sender = dispatcher.sender()
        if sender is not None and not dispatcher.may_send():
            self._tell(message, priority, ttl)
            return
        room = cell.stand_in_line(message, sender, self._extras(priority, ttl, None), priority)
        room.timer = dispatcher.loop.call_later(
            timeout, _no_room, room, timeout, context=dispatcher.turn_context
        )
        await room

    def ask(
        self,
        message: Ask[TargetT_co, ReplyT],
        timeout: float = 5.0,
        priority: Priority = NORMAL,
    ) -> asyncio.Future[ReplyT]:
        """Queue a request; await the result for the reply. See `Ref.ask`."""
        cell = self._cell
        dispatcher = cell.dispatcher
        if get_ident() != dispatcher.thread:
            raise dispatcher.wrong_thread()
        bucket = dispatcher.buckets.get(timeout)
        if bucket is None:
            bucket = dispatcher.buckets[timeout] = Bucket(dispatcher, timeout)
        sender = dispatcher.current
        if (
            sender is None
            or cell.count >= cell.limit
            or priority is not NORMAL
            or dispatcher.carries
        ):
            return self._ask(message, bucket, priority)
        request: Request[ReplyT] = Request(cell, bucket, dispatcher.clock() + timeout)
        cell.asked += 1
        cell.accepted = sequence = cell.accepted + 1
        envelope = [message, sender, sequence, request, None]
        tail = cell.tail
        if tail is None:
            cell.head = envelope
        else:
            tail[4] = envelope
        cell.tail = envelope
        cell.count += 1
        if cell.idle:
            cell.idle = False
            dispatcher.ready.append(cell)
            if not dispatcher.scheduled:
                dispatcher.schedule()
        return request

    def _ask(
        self, message: Ask[TargetT_co, ReplyT], bucket: Bucket, priority: Priority
    ) -> Request[ReplyT]:
        cell = self._cell
        dispatcher = cell.dispatcher
        if priority is not NORMAL:
            priority = Priority(priority)
        sender = dispatcher.sender()
        request: Request[ReplyT] = cell.request_type(
            cell, bucket, dispatcher.clock() + bucket.timeout
        )
        extra = self._extras(priority, None, request)
        cell.asked += 1
        if sender is not None and not dispatcher.may_send():
            cell.accepted += 1
            cell.bury(message, sender, extra, "rejected")
        elif cell.options.mailbox.full == "wait" and cell.must_wait(priority):
            request.room = cell.stand_in_line(message, sender, extra, priority)
        else:
            try:
                cell.put(message, sender, extra, priority)
            except BaseException:
                cell.asked -= 1
                del request.pending[request]
                raise
        return request

    def stop(self, *, timeout: float | None = None, drain: bool = False) -> asyncio.Future[Reason]:
        """Order an end for good; await the result to wait for it. See `Ref.stop`."""
        self._cell.dispatcher.check_thread()
        return self._cell.dispatcher.lifecycle.stop(self._cell, timeout=timeout, drain=drain)

    def kill(self) -> asyncio.Future[Reason]:
        """Order an end without hooks; see `Ref.kill`."""
        self._cell.dispatcher.check_thread()
        return self._cell.dispatcher.lifecycle.kill(self._cell)

    def ended(self) -> asyncio.Future[Reason]:
        """What resolves with the reason once the actor has ended."""
        self._cell.dispatcher.check_thread()
        return self._cell.dispatcher.lifecycle.join(self._cell)

    def _current(self) -> Cell:
        cell = self._cell.dispatcher.sender()
        if cell is None:
            raise NoCurrentActor(
                f"only an actor can watch {self.path}; elsewhere await ref.ended()",
                path=self.path,
            )
        return cell

    def monitor(self, *, restarts: bool = False) -> Monitor:
        """Have the current actor told by `Down` when this one ends."""
        watcher = self._current()
        cell = self._cell
        if cell.block & ENDED:
            monitor = Monitor(watcher, None, self, restarts)
            monitor.notify(Down(self, Reason.NO_ACTOR))
            monitor.forget()
            return monitor
        return Monitor(watcher, cell, self, restarts)

    def link(self) -> None:
        """Tie the current actor to this one: the abnormal end of either fails the other."""
        mine = self._current()
        cell = self._cell
        if mine is cell:
            raise InvalidSpec(f"{self.path} cannot be linked to itself", path=self.path)
        if cell.block & ENDED:
            cell.dispatcher.lifecycle.link_to_nobody(mine, cell)
            return
        for one, other in ((mine, cell), (cell, mine)):
            more = one.details()
            if more.links is None:
                more.links = {}
            more.links[other] = None

    def unlink(self) -> None:
        """Untie the current actor from this one."""
        mine = self._current()
        for one, other in ((mine, self._cell), (self._cell, mine)):
            if one.more is not None and one.more.links:
                one.more.links.pop(other, None)


def _no_room(room: Room, timeout: float) -> None:
    if not room.done():
        room.cell.leave_line(room)
        room.fail(
            SendTimeout(
                f"{room.cell.path} had no room for {timeout} s; the message was not sent",
                path=room.cell.path,
                timeout=timeout,
            )
        )


def state_of(cell: Cell) -> str:
    """The state of an actor, in the words of the contract."""
    block = cell.block
    if block & ENDED:
        reason = None if cell.more is None else cell.more.reason
        return "failed" if reason is not None and reason.kind == "failed" else "stopped"
    for bit, name in (
        (ENDING, "stopping"),
        (RESTARTING, "restarting"),
        (STARTING, "starting"),
        (SUSPENDED, "suspended"),
    ):
        if block & bit:
            return name
    return "stopping" if cell.closed else "running"


class LocalThreadsafeRef(Generic[TargetT_co]):
    """Hands messages over to the loop of the system, a bounded number at a time."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def tell(self, message: Message[TargetT_co]) -> None:
        """Hand a message to the loop of the system; raises `MailboxFull` when too many wait."""
        system = self._cell.dispatcher.system
        cell = self._cell

        def deliver() -> None:
            try:
                cell.put(message, None, None, NORMAL)
            except MailboxFull:
                cell.accepted += 1
                cell.bury(message, None, None, "overflow")

        system.gateway.hand_over(deliver)

    def ask(
        self, message: Ask[TargetT_co, ReplyT], timeout: float = 5.0
    ) -> concurrent.futures.Future[ReplyT]:
        """Ask from another thread; the future gets the reply or what the ask raised."""
        cell = self._cell
        result: concurrent.futures.Future[ReplyT] = concurrent.futures.Future()

        def deliver() -> None:
            if not result.set_running_or_notify_cancel():
                return
            ref = cast("LocalRef[TargetT_co]", cell.ref)
            try:
                request = ref.ask(message, timeout)
            except Exception as error:  # noqa: BLE001 - handed to the asker
                result.set_exception(error)
                return
            request.add_done_callback(copy_outcome)

        def copy_outcome(request: asyncio.Future[ReplyT]) -> None:
            if request.cancelled():
                result.set_exception(
                    RequestDropped(f"the request to {cell.path} was cancelled", path=cell.path)
                )
                return
            error = request.exception()
            if error is not None:
                result.set_exception(error)
            else:
                result.set_result(request.result())

        cell.dispatcher.system.gateway.hand_over(deliver)
        return result
