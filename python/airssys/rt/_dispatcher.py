"""The scheduler: takes ready actors in turn and runs their handlers, a batch of messages each.

The long method `turn` is the hot path of the whole runtime; everything in it that looks inlined is
so because a call costs 50 ns and a message about 400. The file is long for the same reason: the
branches that are cold stand next to the hot path that they leave.
"""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

import asyncio
import os
import sys
import time
import weakref
from collections import deque
from contextvars import ContextVar, copy_context
from threading import get_ident
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from airssys._callers import callers
from airssys.rt._blueprint import Handler, find_handler
from airssys.rt._cell import BUSY, SIGNAL, SUSPENDED, Cell
from airssys.rt._control import Drain
from airssys.rt._mailbox import EXTRA, MESSAGE, NEXT, SENDER, Extras
from airssys.rt._options import DEFAULT_OPTIONS
from airssys.rt._request import Request
from airssys.rt._run import DONE, Run, current_task, enter_task, leave_task
from airssys.rt.errors import ForkedSystem, Refuse, SystemStopped, WrongThread
from airssys.rt.events import Overdue

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context

    from airssys.rt._control import Control
    from airssys.rt._lifecycle import Lifecycle
    from airssys.rt._mailbox import Envelope
    from airssys.rt._request import Bucket
    from airssys.rt.actor import Actor
    from airssys.rt.dead_letters import DeadLetters
    from airssys.rt.messages import Priority
    from airssys.rt.system import System

__all__ = ["Dispatcher", "acting"]

#: The incarnation on whose behalf code runs; child tasks of a handler inherit it.
acting: ContextVar[Actor | None] = ContextVar("airssys_acting")

#: References to a run that nobody kept: the variable in `turn`, and `getrefcount`'s own.
UNSHARED = 2

_living: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


def _die_in_child() -> None:
    for dispatcher in tuple(_living):
        dispatcher.thread = -1
        dispatcher.forked = True


os.register_at_fork(after_in_child=_die_in_child)


class Dispatcher:
    """What one system runs on.

    Attributes:
        current: The actor whose code runs right now; None outside of actors.
        letter: The envelope that is being handled right now.
        run: The run whose step this is; None in plain handlers.
        traced: Whether deliveries take the instrumented way (middleware, spans, message events).
        serves: Whether messages may come from those that rules speak about.
        carries: Whether one of the two is so, and messages take more with them.
        slice: Seconds after which the event loop gets its turn.
        burst: Messages after which the next actor gets its turn.
    """

    def __init__(self, system: System, loop: asyncio.AbstractEventLoop) -> None:
        self.system = system
        self.loop = loop
        self.thread = get_ident()
        self.forked = False
        self.ready: deque[Any] = deque()
        self.scheduled = False
        self.current: Cell | None = None
        self.letter: Envelope | None = None
        self.run: Run | None = None
        self.spare: Run | None = None
        self.traced = False
        self.serves = False
        self.carries = False
        self.slice = 0.004
        self.burst = 256
        self.clock: Callable[[], float] = loop.time
        if type(loop).time is asyncio.BaseEventLoop.time:
            self.clock = time.monotonic  # what that method calls
        self.buckets: dict[float, Bucket] = {}
        self.late_replies = 0
        self.base_context: Context = copy_context()
        self.turn_context: Context = copy_context()
        self.root = Cell(self, None, "", _no_actor, (), DEFAULT_OPTIONS)
        self.lifecycle: Lifecycle
        self.dead_letters: DeadLetters
        self.run_callbacks: dict[Run, list[Callable[[Run], object]]] = {}
        _living.add(self)

    # Entering from outside.

    def wrong_thread(self) -> Exception:
        """The error of a call from where the system does not live."""
        if self.forked:
            return ForkedSystem(
                f"actor system {self.system.name!r} lives in the parent of this fork; "
                "start a system of its own in the child",
            )
        return WrongThread(
            f"actor system {self.system.name!r} lives in another thread; "
            "use ref.threadsafe.tell or ref.threadsafe.ask",
        )

    def check_thread(self) -> None:
        """Raise unless this is the thread of the system."""
        if get_ident() != self.thread:
            raise self.wrong_thread()

    def enqueue(self, item: Cell | Run | Control) -> None:
        """Give something its turn, soon."""
        self.ready.append(item)
        if not self.scheduled:
            self.schedule()

    def enqueue_first(self, item: Cell | Run | Control) -> None:
        """Give something the next turn."""
        self.ready.appendleft(item)
        if not self.scheduled:
            self.schedule()

    def schedule(self) -> None:
        """Have the event loop call `turn`."""
        try:
            self.loop.call_soon(self.turn, context=self.turn_context)
        except RuntimeError as error:
            raise SystemStopped(
                f"the event loop of actor system {self.system.name!r} is closed"
            ) from error
        self.scheduled = True

    def sender(self) -> Cell | None:
        """The actor on whose behalf the caller sends."""
        current = self.current
        if current is None:
            actor = acting.get(None)
            if actor is not None and actor._cell.dispatcher is self:
                return actor._cell
        return current

    def may_send(self) -> bool:
        """Whether the caller acts for an incarnation that is still there."""
        actor = acting.get(None)
        if actor is None or self.current is actor._cell:
            return True
        return actor._cell.actor is actor

    def backpressure(self, cell: Cell, priority: Priority) -> None:
        """Note that a sender was turned away or has to wait."""
        self.system.on_backpressure(cell, priority)

    # The hot path.

    def turn(self) -> None:  # noqa: C901, PLR0912, PLR0915 - the hot path, see above
        """Run what is ready until there is nothing left or the time slice is over."""
        ready = self.ready
        clock = self.clock
        loop = self.loop
        burst = self.burst
        now = clock()
        stop_at = now + self.slice
        envelope: Any
        try:
            while ready:
                cell = ready.popleft()
                if cell.__class__ is not Cell:
                    if cell.__class__ is Run:
                        self.resume(cell)
                    else:
                        cell.resume()
                    now = clock()
                    if now >= stop_at:
                        break
                    continue
                if cell.block:
                    self.serve(cell)
                    continue
                context = cell.context
                if context is None:
                    context = self.context_of(cell)
                self.current = cell
                left = burst
                while True:
                    if cell.lanes is None:
                        envelope = cell.head
                        if envelope is None:
                            cell.idle = True
                            break
                        cell.head = following = envelope[NEXT]
                        if following is None:
                            cell.tail = None
                        cell.count -= 1
                    else:
                        envelope = cell.take()
                        if envelope is None:
                            cell.idle = True
                            break
                    message, _, _, extra, _ = envelope
                    handler = cell.table.get(message.__class__)
                    if handler is None or self.traced or extra is not None:
                        if extra.__class__ is Request and handler is not None and not self.traced:
                            if extra.done():
                                self.expired(cell, envelope)
                                continue
                        else:
                            handler = self.prepare(cell, envelope, now)
                            if handler is None:
                                if cell.block:
                                    break
                                continue
                    cell.last = handler
                    self.letter = envelope
                    if handler.plain:
                        try:
                            own = (context if extra is None else self.serving(cell, extra)).copy()
                            value = own.run(handler.function, cell.actor, message)
                        except BaseException as error:  # noqa: BLE001 - a supervision boundary
                            self.handler_failed(cell, envelope, handler, error)
                            break
                        if value is not None and value.__class__ is CoroutineType:
                            if not self.begin(cell, handler, value):
                                break
                        elif self.letter is not None:
                            cell.handled += 1
                            if extra is not None:
                                if envelope[EXTRA].__class__ is Request:
                                    extra.answer(value)
                                else:
                                    self.reply(envelope, value)
                    else:
                        run = self.spare
                        if run is None:
                            run = Run(self)
                        else:
                            self.spare = None
                        run.cell = cell
                        run.envelope = envelope
                        own = (context if extra is None else self.serving(cell, extra)).copy()
                        run.context = own
                        run.coroutine = coroutine = handler.function(cell.actor, message)
                        self.run = run
                        enter_task(loop, run)
                        try:
                            awaited = own.run(run.send, coroutine)
                        except BaseException as error:  # noqa: BLE001 - a supervision boundary
                            leave_task(loop, run)
                            self.run_failed(run, handler, error)
                            break
                        leave_task(loop, run)
                        self.run = None
                        if awaited is DONE:
                            run.coroutine = None
                            if self.letter is not None:
                                cell.handled += 1
                                if extra is not None:
                                    self.reply(envelope, run.box[0])
                            if run.dirty or sys.getrefcount(run) != UNSHARED:
                                self.close_run(run)
                            else:
                                self.spare = run
                        else:
                            run.reentrant = handler.reentrant
                            if not self.suspend(run, awaited):
                                break
                    if cell.block:
                        break
                    left -= 1
                    now = clock()
                    if now >= stop_at or not left:
                        ready.append(cell)
                        break
                self.letter = None
                self.current = None
                if now >= stop_at:
                    break
        finally:
            stranded = self.current
            if stranded is not None and not stranded.block and not stranded.idle:
                ready.append(stranded)  # an interruption struck between two messages
            self.current = self.letter = self.run = None
            self.scheduled = False
            if ready:
                self.schedule()

    def settle(self, cell: Cell) -> None:
        """A block was lifted: go on with the queue, or with the orders that wait."""
        if cell.block & SIGNAL:
            self.enqueue_first(cell)
            return
        if cell.block & (BUSY | SUSPENDED):
            return
        more = cell.more
        if more is not None and more.when_quiet:
            waiting, more.when_quiet = more.when_quiet, []
            for act in waiting:
                act()
        if not cell.block and not cell.idle:
            if cell.head is None and cell.lanes is None:
                cell.idle = True
            else:
                self.enqueue(cell)

    def serve(self, cell: Cell) -> None:
        """Carry out the order that a cell was given."""
        if cell.block & SIGNAL:
            cell.block &= ~SIGNAL
            self.lifecycle.serve(cell)

    # Deliveries that are not plain tells.

    def expired(self, cell: Cell, envelope: Envelope) -> None:
        """A request that is done already is not begun."""
        request = envelope[EXTRA]
        if isinstance(request, Extras):
            request = request.request
        cancelled = request is not None and request.cancelled()
        cell.bury(
            envelope[MESSAGE],
            envelope[SENDER],
            envelope[EXTRA],
            "cancelled" if cancelled else "expired",
        )

    def prepare(  # noqa: PLR0911 - each is one way to die
        self, cell: Cell, envelope: Envelope, now: float
    ) -> Handler | None:
        """Look at what a message carries; return its handler, or None when it died here."""
        message: Any = envelope[MESSAGE]
        sender: Cell | None = envelope[SENDER]
        extra: Extras | Request[Any] | None = envelope[EXTRA]
        if message.__class__ is Drain:
            self.lifecycle.drained(cell, envelope)
            return None
        if isinstance(extra, Extras):
            if extra.place is not None:
                extra.place.left()
                extra.place = None
            if extra.expires is not None and now >= extra.expires:
                cell.bury(message, sender, extra, "expired")
                return None
            if extra.request is not None and extra.request.done():
                self.expired(cell, envelope)
                return None
        elif isinstance(extra, Request) and extra.done():
            self.expired(cell, envelope)
            return None
        handler = cell.table.get(message.__class__) or find_handler(cell.table, message.__class__)
        if handler is None:
            cell.bury(message, sender, extra, "unhandled")
            return None
        if self.traced:
            return self.system.instrument(cell, envelope, handler)
        return handler

    def reply(self, envelope: Envelope, value: Any) -> None:
        """Answer the ask that was handled, unless the handler deferred it."""
        extra = envelope[EXTRA]
        if extra.__class__ is Request:
            extra.answer(value)
        elif extra is not None and extra.request is not None:
            extra.request.answer(value)

    def context_of(self, cell: Cell) -> Context:
        """The context variables that each run of an incarnation starts from, made on first use."""
        context: Context | None = cell.context
        if context is None:
            context = cell.context = self.base_context.copy()
            context.run(acting.set, cell.actor)
        return context

    def serving(self, cell: Cell, extra: Extras | Request[Any] | None) -> Context:
        """The context variables for a message that carries `extra`: those of its callers too."""
        context = self.context_of(cell)
        if extra.__class__ is Extras and extra.callers is not None:
            context = context.copy()
            context.run(callers.set, extra.callers)
        return context

    # Runs.

    def begin(self, cell: Cell, handler: Handler, coroutine: Coroutine[Any, Any, Any]) -> bool:
        """Run the coroutine that a plain handler returned; False when the batch must end."""
        run = Run(self)
        run.cell = cell
        run.envelope = envelope = self.letter
        run.reentrant = handler.reentrant
        extra = None if envelope is None else envelope[EXTRA]
        run.context = self.serving(cell, extra).copy()
        run.coroutine = coroutine
        try:
            awaited = self.step(run, run.send, coroutine)
        except BaseException as error:  # noqa: BLE001 - a supervision boundary
            self.run_failed(run, handler, error)
            return False
        self.letter = run.envelope
        if awaited is DONE:
            self.finish(run)
            return True
        return self.suspend(run, awaited)

    def step(self, run: Run, function: Callable[[Any], Any], argument: Any) -> Any:
        """Run a coroutine to its next suspension, as the current task, whoever that was before."""
        loop = self.loop
        before = current_task(loop)
        kept = self.current, self.letter, self.run
        self.current, self.letter, self.run = run.cell, run.envelope, run
        if before is not None:
            leave_task(loop, before)
        enter_task(loop, run)
        try:
            return run.context.run(function, argument)
        finally:
            leave_task(loop, run)
            if before is not None:
                enter_task(loop, before)
            self.current, self.letter, self.run = kept

    def suspend(self, run: Run, awaited: Any) -> bool:
        """Park a run on what it awaits; False when the actor takes no further message now."""
        cell = run.cell
        self.park(run, awaited)
        handler = cell.last
        if handler is not None and handler.budget is not None:
            run.timer = self.loop.call_later(
                handler.budget, self._over_budget, run, handler.budget, context=self.turn_context
            )
        if run.reentrant:
            more = cell.details()
            if more.runs is None:
                more.runs = set()
            more.runs.add(run)
            if len(more.runs) < cell.options.reentrant_runs:
                return True
            cell.block |= BUSY
            return False
        cell.run = run
        cell.block |= BUSY
        return False

    def _over_budget(self, run: Run, budget: float) -> None:
        stack = "".join(
            f"  {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}\n"
            for frame in run.get_stack()
        )
        self.system.events.publish(Overdue(run.cell.ref, budget, stack))

    def park(self, run: Run, awaited: Any) -> None:
        """Have a run resumed when what it awaits is done, or when it cannot be awaited."""
        error = run.park(awaited)
        if error is not None:
            run.error = error
            self.enqueue(run)

    def resume(self, run: Run) -> None:
        """Go on with a run whose wait is over."""
        if run.over:
            return
        cell = run.cell
        if (cell.run is not run or cell.block & SUSPENDED) and self._must_hold(run, cell):
            return
        run._fut_waiter = None
        loop = self.loop
        self.current = cell
        self.letter = run.envelope
        self.run = run
        enter_task(loop, run)
        try:
            if run._must_cancel or run.error is not None:
                awaited = run.context.run(run.throw, run.interruption())
            else:
                awaited = run.context.run(run.send, None)
        except BaseException as failure:  # noqa: BLE001 - a supervision boundary
            leave_task(loop, run)
            self.current = self.letter = self.run = None
            self.run_failed(run, None, failure)
            return
        leave_task(loop, run)
        self.current = self.letter = self.run = None
        if run.over:  # abandoned by its own doing
            return
        if awaited is DONE:
            self.finish(run)
            return
        error = run.park(awaited)
        if error is not None:
            run.error = error
            self.enqueue(run)

    def _must_hold(self, run: Run, cell: Cell) -> bool:
        """Whether a run has to wait: suspended, or a non-reentrant handler is in flight."""
        holder = cell.run
        suspended = cell.block & SUSPENDED and not run.hook  # its end does not wait
        if suspended or (holder is not None and holder is not run):
            more = cell.details()
            if more.held is None:
                more.held = []
            more.held.append(run)
            return True
        return False

    def release(self, run: Run) -> None:
        """A run is over: the actor is free again."""
        run.over = True
        cell = run.cell
        self.close_run(run)
        if cell.run is run:
            cell.run = None
            cell.block &= ~BUSY
        more = cell.more
        if more is not None:
            if more.runs and run in more.runs:
                more.runs.discard(run)
                if cell.run is None:
                    cell.block &= ~BUSY
            if more.held and cell.run is None and not cell.block & SUSPENDED:
                held, more.held = more.held, None
                for other in held:
                    self.enqueue(other)
            if more.control is not None:
                more.control.poke()

    def close_run(self, run: Run) -> None:
        """End what hangs on a run."""
        run.over = True
        run.coroutine = None
        run.cancel_children()
        if run.timer is not None:
            run.timer.cancel()
            run.timer = None
        for callback in self.run_callbacks.pop(run, ()):
            self.loop.call_soon(callback, run)

    def finish(self, run: Run) -> None:
        """A run returned."""
        cell = run.cell
        envelope = run.envelope
        if envelope is not None and not run.hook:
            cell.handled += 1
        self.release(run)
        if envelope is not None and not run.hook:
            self.reply(envelope, run.box[0])
        self.settle(cell)

    def recycle(self, run: Run) -> None:
        """Keep a run that ended for the next coroutine, unless someone else knows it."""
        if sys.getrefcount(run) == UNSHARED + 1:  # the caller's variable too
            self.spare = run

    def on_run_done(
        self, run: Run, callback: Callable[[Run], object], _context: Context | None
    ) -> None:
        """Remember a callback for the end of a run."""
        self.run_callbacks.setdefault(run, []).append(callback)

    def forget_run_done(self, run: Run, callback: Callable[[Run], object]) -> int:
        """Forget a callback for the end of a run."""
        callbacks = self.run_callbacks.get(run, [])
        count = callbacks.count(callback)
        self.run_callbacks[run] = [one for one in callbacks if one != callback]
        return count

    # Failures.

    def run_failed(self, run: Run, handler: Handler | None, error: BaseException) -> None:
        """A coroutine raised."""
        cell = run.cell
        self.run = None
        run.error = error
        self.release(run)
        if run.hook:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                self.leave(error)
            return
        if handler is None:
            handler = cell.last
        self.handler_failed(cell, run.envelope, handler, error)

    def handler_failed(
        self, cell: Cell, envelope: Envelope | None, handler: Handler | None, error: BaseException
    ) -> None:
        """A handler raised `error`: account for the message, then let supervision decide."""
        if self.letter is None and self.current is cell:
            envelope = None  # it was stashed before
        if isinstance(error, Refuse):
            if envelope is not None:
                cell.handled += 1
                extra = envelope[EXTRA]
                request = extra.request if isinstance(extra, Extras) else extra
                if request is not None:
                    request.refuse(error.error)
            self.settle(cell)
            return
        if envelope is not None and not self._retry(cell, envelope, handler):
            killed = cell.more is not None and cell.more.killed
            cell.bury(
                envelope[MESSAGE],
                envelope[SENDER],
                envelope[EXTRA],
                "killed" if killed else "failed",
                None if killed else error,
            )
        self.lifecycle.fail(cell, error, envelope[MESSAGE] if envelope is not None else None)
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            self.leave(error)

    def leave(self, error: BaseException) -> None:
        """Begin shutdown and leave the event loop with `error`."""
        self.system.begin_shutdown()
        raise error

    def _retry(self, cell: Cell, envelope: Envelope, handler: Handler | None) -> bool:
        if handler is None or not handler.retry or (cell.more is not None and cell.more.killed):
            return False
        extra = envelope[EXTRA]
        if not isinstance(extra, Extras):
            extra = Extras(request=extra)
            envelope[EXTRA] = extra
        if extra.attempts >= handler.retry:
            return False
        extra.attempts += 1
        cell.put_back(envelope)
        return True

    # Tasks of actors.

    def background(self, cell: Cell, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task that ends with the incarnation and whose exception fails it."""
        actor = cell.actor
        more = cell.details()
        if more.background is None:
            more.background = set()
        tasks = more.background
        self.system.adopting = False
        try:
            context = self.context_of(cell).copy()
            context.run(callers.set, callers.get())
            task = self.loop.create_task(coroutine, context=context)
        finally:
            self.system.adopting = True
        tasks.add(task)

        def done(task: asyncio.Task[Any]) -> None:
            tasks.discard(task)
            if not task.cancelled():
                error = task.exception()
                if error is not None and cell.actor is actor:
                    self.lifecycle.fail(cell, error, None)

        task.add_done_callback(done, context=self.turn_context)
        return task


def _no_actor() -> None:
    raise AssertionError("the root of a system is not an actor")
