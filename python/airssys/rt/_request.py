"""What a handler or a task can wait for: a reply, room in a mailbox, a start, a stop.

Each is an `asyncio.Future`, so that `gather`, `wait_for` and tasks take it as it is; a handler of
this system that waits for it directly is resumed without a callback, and makes an edge that cycle
detection sees.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from airssys.rt.errors import ActorFailed, AskTimeout, RequestDropped

if TYPE_CHECKING:
    from airssys.rt._cell import Cell
    from airssys.rt._dispatcher import Dispatcher
    from airssys.rt._mailbox import Extras
    from airssys.rt._run import Run
    from airssys.rt.messages import DeadReason, Priority

__all__ = ["WAITS", "Bucket", "Completion", "Request", "Room", "Wait"]

T = TypeVar("T")

_init_future: Any = vars(asyncio.Future)["__init__"]


class Wait(asyncio.Future[T]):
    """A future that concerns an actor and may have one handler waiting for it directly."""

    __slots__ = ("cell", "waiter")

    def __init__(self, cell: Cell) -> None:
        super().__init__(loop=cell.dispatcher.loop)
        self.cell = cell
        self.waiter: Run | None = None

    def settle(self, value: T) -> bool:
        """Resolve with `value` and wake whoever waits; False if it was done already."""
        if self.done():
            return False
        self.set_result(value)
        self.wake()
        return True

    def fail(self, error: BaseException) -> bool:
        """Resolve with `error` and wake whoever waits; False if it was done already."""
        if self.done():
            return False
        if isinstance(error, StopIteration):  # a future refuses it
            error = _wrapped(error)
        self.set_exception(error)
        self._log_traceback = False  # whoever does not wait for it does not want to know
        self.wake()
        return True

    def wake(self) -> None:
        """Put the handler that waits directly back on the ready queue."""
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            waiter.dispatcher.enqueue(waiter)

    def cancel(self, msg: Any | None = None) -> bool:
        """Give up waiting; True unless it was done already."""
        if not super().cancel(msg):
            return False
        self.withdraw()
        self.wake()
        return True

    def withdraw(self) -> None:
        """Undo what the wait holds, when its caller gave up."""


def _wrapped(error: BaseException) -> RuntimeError:
    wrapped = RuntimeError(f"{type(error).__name__} was raised")
    wrapped.__cause__ = error
    return wrapped


class Completion(Wait[T]):
    """A start or a stop."""

    __slots__ = ()


class Room(Wait[None]):
    """A sender that waits for room in one lane, with the message it wants to put there."""

    __slots__ = ("extra", "message", "priority", "sender", "timer")

    def __init__(
        self,
        cell: Cell,
        message: object,
        sender: Cell | None,
        extra: Request[Any] | Extras | None,
        priority: Priority,
    ) -> None:
        super().__init__(cell)
        self.message = message
        self.sender = sender
        self.extra = extra
        self.priority = priority
        self.timer: asyncio.TimerHandle | None = None

    def withdraw(self) -> None:
        """Leave the line, so that those behind move up."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.cell.leave_line(self)


class Bucket:
    """The pending asks of one timeout value: their deadlines fall due in order.

    One loop timer serves all of them; it is armed for the oldest one only, so that an ask that is
    answered in time costs no timer.
    """

    __slots__ = ("armed", "dispatcher", "pending", "timeout")

    def __init__(self, dispatcher: Dispatcher, timeout: float) -> None:
        self.dispatcher = dispatcher
        self.timeout = timeout
        self.pending: dict[Request[Any], None] = {}
        self.armed = False

    def arm(self, deadline: float) -> None:
        """Wake at `deadline`, in loop time."""
        self.armed = True
        self.dispatcher.loop.call_at(deadline, self._due)

    def _due(self) -> None:
        self.armed = False
        now = self.dispatcher.clock()
        while self.pending:
            request = next(iter(self.pending))
            if request.expires > now:
                self.arm(request.expires)
                return
            request.expire()
        self.dispatcher.buckets.pop(self.timeout, None)


class Request(Wait[T]):
    """One ask. Its reply comes here and never enters a mailbox, so it needs no room there."""

    __slots__ = ("expires", "pending", "room")

    def __init__(self, cell: Cell, bucket: Bucket, expires: float) -> None:
        _init_future(self, loop=cell.dispatcher.loop)  # saves a frame
        self.cell = cell
        self.waiter = None
        self.room: Room | None = None
        self.expires = expires
        self.pending = pending = bucket.pending
        pending[self] = None
        if not bucket.armed:
            bucket.arm(expires)

    def answer(self, value: T) -> None:
        """Reply; a reply that comes late is counted and dropped."""
        cell = self.cell
        if self.done():
            cell.dispatcher.late_replies += 1
            return
        del self.pending[self]
        cell.answered += 1
        self.set_result(value)
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            dispatcher = waiter.dispatcher
            dispatcher.ready.append(waiter)  # enqueue, without the call
            if not dispatcher.scheduled:
                dispatcher.schedule()

    def refuse(self, error: BaseException) -> None:
        """Fail the asker with `error` itself."""
        if self.done():
            self.cell.dispatcher.late_replies += 1
            return
        del self.pending[self]
        self.cell.details().asks_failed += 1
        self.fail(error)

    def handler_failed(self, error: BaseException) -> None:
        """Fail the asker because the handler raised."""
        failure = ActorFailed(
            f"{self.cell.path} failed while it handled the request: {error!r}",
            path=self.cell.path,
        )
        failure.__cause__ = error
        self.refuse(failure)

    def drop(self, reason: DeadReason) -> None:
        """Fail the asker because the request became a dead letter."""
        if not self.done():
            self.refuse(
                RequestDropped(
                    f"the request to {self.cell.path} will not be answered: {reason}",
                    path=self.cell.path,
                    reason=reason,
                )
            )

    def expire(self) -> None:
        """The deadline passed."""
        del self.pending[self]
        self.cell.details().asks_expired += 1
        self._leave_line()
        self.fail(
            AskTimeout(f"{self.cell.path} did not reply before the deadline", path=self.cell.path)
        )

    def withdraw(self) -> None:
        """The asker gave up."""
        del self.pending[self]
        self.cell.details().asks_cancelled += 1
        self._leave_line()

    def _leave_line(self) -> None:
        if self.room is not None:
            self.room.cancel()
            self.room = None


#: What makes an edge between actors when a handler awaits it directly.
WAITS: set[type[Wait[Any]]] = {Request, Completion, Room}
