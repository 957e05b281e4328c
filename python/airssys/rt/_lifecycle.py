"""Starting, stopping, killing and restarting actors, in the order that the contract gives.

Long, but one state machine: each step relies on what the others leave behind, and the order of
things is only seen when they stand together.
"""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

import math
from dataclasses import replace
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from airssys.errors import AirsSysError
from airssys.rt._blueprint import Blueprint, Hook, blueprint_of
from airssys.rt._cell import (
    BUSY,
    CLOSED,
    ENDED,
    ENDING,
    RESTARTING,
    SIGNAL,
    STARTING,
    SUSPENDED,
    Cell,
)
from airssys.rt._control import Control, Ending, pause
from airssys.rt._mailbox import MESSAGE
from airssys.rt._options import Restart
from airssys.rt._request import Completion
from airssys.rt._run import DONE, Run
from airssys.rt.actor import Actor
from airssys.rt.errors import InvalidSpec, RestartLimit, RuntimeFailure, SpawnFailed, WaitTimeout
from airssys.rt.events import (
    ActorEnded,
    ActorFailing,
    ActorRestarted,
    ActorRestarting,
    ActorStarted,
    ActorStopping,
    HookFailed,
    Leaked,
    LimitExceeded,
)
from airssys.rt.messages import Down, Exit, Reason, Restarted
from airssys.rt.supervision import Strategy, Supervision, SupervisionState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airssys.rt._details import Details
    from airssys.rt._dispatcher import Dispatcher
    from airssys.rt._mailbox import Envelope

__all__ = ["Lifecycle", "LinkBroken"]

#: Seconds that a killed coroutine may take to unwind before it is abandoned.
UNWIND = 1.0

GOING = ENDING | RESTARTING | ENDED


class LinkBroken(RuntimeFailure):
    """A linked actor ended abnormally."""

    default_code = "link-broken"


class Lifecycle:
    """Carries out starts and ends. It runs between handlers, never inside one."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._events = dispatcher.system.events

    # Starting.

    def launch(self, cell: Cell) -> Completion[None] | None:
        """Make the first incarnation; return what to await when `started` has to wait.

        Raises:
            SpawnFailed: The factory or `started` raised; nothing is left behind.
        """
        try:
            hook = self._create(cell)
            run = None if hook is None else self._start_hook(cell, hook, ())
        except BaseException as error:
            if not isinstance(error, Exception):
                self._start_failed(cell, error)
                raise
            if cell.children:  # they are stopped first, which may take time
                completion: Completion[None] = Completion(cell)
                more = cell.details()
                more.control = Control(self._dispatcher, self._abort_start(cell, error, completion))
                more.control.resume()
                return completion
            self._start_failed(cell, error)
            raise self._spawn_failed(cell, error) from error
        if run is None:
            self._started(cell)
            return None
        completion = Completion(cell)
        more = cell.details()
        more.control = Control(self._dispatcher, self._starting(cell, run, completion))
        more.control.resume()
        return completion

    def _spawn_failed(self, cell: Cell, error: BaseException) -> SpawnFailed:
        words = str(error) if isinstance(error, AirsSysError) else repr(error)
        failure = SpawnFailed(f"{cell.path} did not start: {words}", path=cell.path)
        failure.__cause__ = error
        return failure

    def _create(self, cell: Cell) -> Hook | None:
        actor = cell.factory(*cell.args)
        if not isinstance(actor, Actor):
            raise InvalidSpec(
                f"the factory of {cell.path} returned {actor!r}; expected an Actor",
                path=cell.path,
            )
        actor._cell = cell
        cell.actor = actor
        cls = actor.__class__
        blueprint: Blueprint = cls.__blueprint__ or blueprint_of(cls, Actor)
        cell.table = blueprint.table
        return blueprint.started

    def _start_hook(self, cell: Cell, hook: Hook, arguments: tuple[Any, ...]) -> Run | None:
        """Run a hook to its first suspension; None when it ended there. Raises what it raised."""
        dispatcher = self._dispatcher
        own = dispatcher.context_of(cell).copy()
        if hook.plain:
            kept = dispatcher.current, dispatcher.letter, dispatcher.run
            dispatcher.current, dispatcher.letter, dispatcher.run = cell, None, None
            try:
                coroutine = own.run(hook.function, cell.actor, *arguments)
            finally:
                dispatcher.current, dispatcher.letter, dispatcher.run = kept
            if coroutine.__class__ is not CoroutineType:
                return None
        else:
            coroutine = hook.function(cell.actor, *arguments)
        run = dispatcher.spare
        if run is None:
            run = Run(dispatcher)
        else:
            dispatcher.spare = None
        run.cell = cell
        run.hook = True
        run.envelope = None
        run.reentrant = False
        run.context = own
        run.coroutine = coroutine
        cell.run = run
        cell.block |= BUSY
        try:
            awaited = dispatcher.step(run, run.send, coroutine)
        except BaseException:
            dispatcher.release(run)
            raise
        if awaited is DONE:
            cell.run = None
            cell.block &= ~BUSY
            if run.dirty:
                dispatcher.close_run(run)
            else:
                run.hook = False
                dispatcher.recycle(run)
            return None
        dispatcher.park(run, awaited)
        return run

    async def _hook(
        self, cell: Cell, hook: Hook, arguments: tuple[Any, ...], deadline: float = math.inf
    ) -> None:
        """Run a hook to its end; a kill or the deadline cancels it and, later, abandons it."""
        run = self._start_hook(cell, hook, arguments)
        if run is not None:
            await self._attend(cell, run, deadline)

    async def _attend(self, cell: Cell, run: Run, deadline: float) -> None:
        more = cell.details()
        clock = self._dispatcher.clock
        timer = None if math.isinf(deadline) else self._poke_at(more, deadline)
        while not run.over and not more.killed and clock() < deadline:
            await pause()
        if timer is not None:
            timer.cancel()
        late = not run.over
        if late:
            await self._unwind(cell, [run])
        if late and not more.killed:
            raise WaitTimeout(
                f"a hook of {cell.path} took longer than its time; make it faster or raise "
                "`start_timeout`",
                path=cell.path,
            )
        error = run.error
        if error is not None:
            raise error

    def _poke_at(self, more: Details, when: float) -> Any:
        control = more.control
        assert control is not None, "only lifecycle coroutines wait"  # noqa: S101 - an invariant
        return self._dispatcher.loop.call_at(
            when, control.poke, context=self._dispatcher.turn_context
        )

    async def _starting(self, cell: Cell, run: Run, completion: Completion[None]) -> None:
        more = cell.details()
        deadline = self._dispatcher.clock() + cell.options.start_timeout
        error: BaseException | None = None
        try:
            await self._attend(cell, run, deadline)
        except BaseException as raised:  # noqa: BLE001 - handed to whoever spawned
            error = raised
        if error is None and not more.final and not completion.cancelled():
            more.control = None
            self._started(cell)
            completion.settle(None)
            return
        if error is None:
            error = RuntimeFailure("it was stopped while it started", path=cell.path)
        await self._abort_start(cell, error, completion)

    async def _abort_start(
        self, cell: Cell, error: BaseException, completion: Completion[None]
    ) -> None:
        await self._stop_children(cell)
        if cell.elsewhere:
            await self._let_go(cell)
        cell.details().control = None
        self._start_failed(cell, error)
        completion.fail(self._spawn_failed(cell, error))

    def _start_failed(self, cell: Cell, error: BaseException) -> None:
        """Leave nothing behind of an actor that did not start."""
        for child in tuple(reversed((cell.children or {}).values())):
            self.end(child, Ending(Reason.SHUTDOWN, kill=True, final=True))
        self._close_incarnation(cell, Reason.failed(error))
        self.finish(cell, Reason.failed(error), failed_start=True)

    def _started(self, cell: Cell) -> None:
        cell.block &= ~STARTING
        if self._events.active:
            self._events.publish(ActorStarted(cell.ref))
        if self._failed_meanwhile(cell):
            return
        if not cell.block and cell.head is None and cell.lanes is None:
            cell.idle = True
        else:
            self._dispatcher.settle(cell)

    # Orders from outside.

    def order(self, cell: Cell, ending: Ending) -> None:
        """Tell an actor to end; it is carried out before any further message. Repeats merge."""
        if cell.block & ENDED:
            return
        more = cell.details()
        pending = more.ending
        if pending is not None:
            pending.kill = pending.kill or ending.kill
            pending.final = pending.final or ending.final
            if ending.kill and not pending.reason.abnormal:
                pending.reason = ending.reason
        else:
            more.ending = ending
        if not cell.block & SIGNAL:
            cell.block |= SIGNAL
            self._dispatcher.enqueue_first(cell)

    def serve(self, cell: Cell) -> None:
        """Carry out what was ordered."""
        more = cell.details()
        ending, more.ending = more.ending, None
        if ending is not None and not cell.block & ENDED:
            if ending.final or ending.renewal is not None or more.control is not None:
                self.end(cell, ending)
            else:
                self._over(cell, ending)
        self._dispatcher.settle(cell)

    def renew(self, cell: Cell) -> Completion[None]:
        """Put another incarnation in the place of the one that lives, by order and uncounted.

        Order and queue are those of a restart. If the new incarnation does not start the result
        fails with what it raised, and the actor stays between two incarnations until it is renewed
        again or stopped.
        """
        renewal: Completion[None] = Completion(cell)
        more = cell.details()
        if cell.block & GOING or more.control is not None or more.ending is not None:
            renewal.fail(RuntimeFailure(f"{cell.path} is ending or restarting", path=cell.path))
        else:
            self.order(cell, Ending(Reason.SHUTDOWN, renewal=renewal))
        return renewal

    def renew_again(self, cell: Cell) -> Completion[None]:
        """Try once more after a renewal that failed; a failure now is supervision's."""
        renewal: Completion[None] = Completion(cell)
        more = cell.details()
        control = more.control = Control(self._dispatcher, self._renew_again(cell, renewal))
        control.resume()
        return renewal

    async def _renew_again(self, cell: Cell, renewal: Completion[None]) -> None:
        more = cell.details()
        error = await self._open(cell)
        more.control = None
        if more.final:
            reason = Reason.SHUTDOWN
            if error is None:
                reason = await self._close(cell, Ending(Reason.SHUTDOWN, kill=more.killed))
            self._finish(cell, reason)
            renewal.fail(RuntimeFailure(f"{cell.path} was stopped", path=cell.path))
        elif error is not None:
            renewal.fail(error)
            self._over(cell, Ending(Reason.failed(error)))
        else:
            self._reopened(cell, Reason.SHUTDOWN)
            renewal.settle(None)

    def end_self(self, cell: Cell) -> None:
        """An actor ends itself normally; its supervisor decides whether it comes back."""
        self.order(cell, Ending(Reason.NORMAL))

    def join(self, cell: Cell) -> Completion[Reason]:
        """What resolves with the reason once the actor has ended."""
        completion: Completion[Reason] = Completion(cell)
        if cell.block & ENDED:
            completion.set_result(cell.details().reason or Reason.NO_ACTOR)
            return completion
        more = cell.details()
        if more.joiners is None:
            more.joiners = []
        more.joiners.append(completion)
        return completion

    def stop(self, cell: Cell, *, timeout: float | None, drain: bool) -> Completion[Reason]:
        """Order a stop that becomes a kill after `timeout` seconds."""
        completion = self.join(cell)
        if cell.block & ENDED:
            return completion
        if drain:
            self._drain(cell)
        else:
            self.order(cell, Ending(Reason.SHUTDOWN, final=True))
        limit = cell.options.shutdown if timeout is None else timeout
        if not math.isinf(limit):
            timer = self._dispatcher.loop.call_later(
                limit, self._overdue, cell, context=self._dispatcher.turn_context
            )
            more = cell.details()
            if more.overdue is not None:
                more.overdue.cancel()
            more.overdue = timer
        return completion

    def _drain(self, cell: Cell) -> None:
        """Take no more, and stop once all that is queued was handled."""
        more = cell.details()
        if cell.closed:
            return
        more.draining = True
        cell.limit = -1
        cell.turn_away_all("stopped")
        cell.start_draining(lambda: self.order(cell, Ending(Reason.SHUTDOWN, final=True)))

    def drained(self, cell: Cell, envelope: Envelope) -> None:
        """The end of the queue came up: stop, unless other lanes still hold something."""
        if cell.queued and cell.lanes is not None:
            cell.lanes.low.push(envelope)
            return
        cell.handled += 1
        envelope[MESSAGE].done()

    def _overdue(self, cell: Cell) -> None:
        self.order(cell, Ending(Reason.KILLED, kill=True, final=True))

    def kill(self, cell: Cell) -> Completion[Reason]:
        """Order a kill; the supervisor decides whether the actor comes back."""
        if cell.block & ENDED:
            return self.join(cell)
        completion: Completion[Reason] = Completion(cell)
        more = cell.details()
        if more.killers is None:
            more.killers = []
        more.killers.append(completion)
        self.order(cell, Ending(Reason.KILLED, kill=True))
        return completion

    # Failures.

    def fail(self, cell: Cell, error: BaseException, message: object) -> None:
        """An incarnation failed: its supervisor decides."""
        if cell.block & ENDED:
            return
        more = cell.more
        if self._events.active:
            self._events.publish(ActorFailing(cell.ref, error, message))
        if more is not None and more.control is not None:
            if not more.killed:
                more.failure = Ending(Reason.failed(error), error, message)
            more.control.poke()
            return
        self._over(cell, Ending(Reason.failed(error), error, message))

    def order_failure(self, cell: Cell, error: BaseException) -> None:
        """Fail an incarnation before its next message."""
        self.order(cell, Ending(Reason.failed(error), error, None, cancel=True))

    def _over(self, cell: Cell, ending: Ending) -> None:
        """The incarnation is over; restart it, its group, or give up."""
        parent = cell.parent
        restart = cell.options.restart
        if (
            parent is None
            or parent.block & GOING
            or restart is Restart.TEMPORARY
            or (restart is Restart.TRANSIENT and not ending.reason.abnormal)
        ):
            ending.final = True
            self.end(cell, ending)
            return
        state = self.supervision(parent)
        delay = state.allow(cell, self._dispatcher.clock(), self._dispatcher.system.seed)
        if delay is None:
            self._escalate(cell, parent, state, ending)
        elif state.policy.strategy is Strategy.ONE_FOR_ONE or parent.children is None:
            ending.delay = delay
            self.end(cell, ending)
        else:
            self._restart_group(parent, state, cell, ending, delay)

    def supervision(self, parent: Cell) -> SupervisionState:
        """How a parent supervises, and what it remembers of restarts."""
        more = parent.details()
        if more.supervision is None:
            policy = None if parent.actor is None else parent.actor.supervision
            more.supervision = SupervisionState(policy or Supervision())
        return more.supervision

    def _escalate(self, cell: Cell, parent: Cell, state: SupervisionState, ending: Ending) -> None:
        error = RestartLimit(
            f"{cell.path} was restarted too often: {state.reason}; last failure: {ending.reason}",
            path=cell.path,
        )
        error.__cause__ = ending.error
        if self._events.active:
            self._events.publish(LimitExceeded(parent.ref, cell.ref, error))
        if parent.parent is None:
            self.end(cell, replace(ending, reason=Reason.failed(error), final=True))
            return
        cell.details().failure = ending
        cell.block |= RESTARTING
        self.fail(parent, error, None)

    # Ending.

    def end(self, cell: Cell, ending: Ending) -> None:
        """Begin an end, or make the one in progress harder."""
        if cell.block & ENDED:
            return
        more = cell.details()
        if ending.kill:
            more.killed = True
        if ending.final:
            more.final = True
            cell.block |= ENDING | CLOSED
            cell.limit = -1
        if more.control is not None:
            more.control.poke()
            return
        cell.block |= RESTARTING
        cell.idle = False
        if self._events.active:
            event = ActorStopping if more.final else ActorRestarting
            self._events.publish(event(cell.ref, ending.reason))
        control = more.control = Control(self._dispatcher, self._end(cell, ending))
        control.resume()

    async def _end(self, cell: Cell, ending: Ending) -> None:
        try:
            await self._end_and_go_on(cell, ending)
        finally:
            if ending.renewal is not None:  # unless it is settled
                ending.renewal.fail(RuntimeFailure(f"{cell.path} was stopped", path=cell.path))

    async def _end_and_go_on(self, cell: Cell, ending: Ending) -> None:
        more = cell.details()
        reason = await self._close(cell, ending)
        if more.final:
            self._finish(cell, reason)
            return
        more.killed = False
        if ending.hold:
            more.control = None
            self._tell_parent(cell)
            return
        if ending.delay:
            until = self._dispatcher.clock() + ending.delay
            timer = self._poke_at(more, until)
            while self._dispatcher.clock() < until and not more.final and not more.killed:
                await pause()
            timer.cancel()
            if more.killed and not more.final:
                more.killed = False  # nothing is there to kill; it comes back at once
                self._settle_killers(more, Reason.KILLED)
        if more.final:
            self._finish(cell, reason)
            return
        error = await self._open(cell)
        if error is not None and not more.final:
            more.control = None
            more.killed = False
            if ending.renewal is not None:
                ending.renewal.fail(error)
                return
            self._over(cell, Ending(Reason.failed(error), None, None))
        elif more.final:
            reason = await self._close(cell, Ending(Reason.SHUTDOWN, kill=more.killed))
            self._finish(cell, reason)
        else:
            more.control = None
            self._reopened(cell, reason)
            if ending.renewal is not None:
                ending.renewal.settle(None)

    def _finish(self, cell: Cell, reason: Reason) -> None:
        cell.details().control = None
        self.finish(cell, reason)

    async def _close(self, cell: Cell, ending: Ending) -> Reason:
        """End the incarnation: handler, `failed`, children, `stopped`, all that was its own."""
        more = cell.details()
        await self._quiet(cell, cancel=ending.cancel)
        if more.failure is not None:
            ending = more.failure
            more.failure = None
        actor = cell.actor
        blueprint: Blueprint | None = None if actor is None else blueprint_of(type(actor), Actor)
        reason = Reason.KILLED if more.killed else ending.reason
        if ending.error is not None and blueprint is not None and blueprint.failed is not None:
            await self._try_hook(cell, blueprint.failed, (ending.error, ending.message))
        if actor is not None and not more.final:
            try:
                more.carried = actor.carry()
            except Exception as error:  # noqa: BLE001 - reported; the restart goes on
                self._events.publish(HookFailed(cell.ref, "carry", error))
        await self._stop_children(cell)
        if blueprint is not None and blueprint.stopped is not None:
            await self._try_hook(cell, blueprint.stopped, (reason,))
        if more.killed:  # perhaps by now
            reason = Reason.KILLED
        if cell.elsewhere:
            await self._let_go(cell)
        self._close_incarnation(cell, reason)
        return reason

    async def _let_go(self, cell: Cell) -> None:
        """Wait until nothing of the incarnation runs outside of Python any more."""
        if not cell.release():
            return
        more = cell.details()
        deadline = self._dispatcher.clock() + UNWIND
        timer = self._poke_at(more, deadline)
        while cell.release() and self._dispatcher.clock() < deadline:
            await pause()
        timer.cancel()
        if cell.release():
            self._dispatcher.system.leaks.append(cell.path)
            self._events.publish(Leaked(cell.ref, ()))

    def _settle_killers(self, more: Details, reason: Reason) -> None:
        if more.killers:
            killers, more.killers = more.killers, None
            for killer in killers:
                killer.settle(reason)

    async def _try_hook(self, cell: Cell, hook: Hook, arguments: tuple[Any, ...]) -> None:
        if cell.details().killed:
            return
        try:
            await self._hook(cell, hook, arguments)
        except BaseException as error:  # noqa: BLE001 - reported; the end goes on
            if not cell.details().killed:
                self._events.publish(
                    HookFailed(cell.ref, getattr(hook.function, "__name__", "hook"), error)
                )

    def _flying(self, cell: Cell) -> list[Run]:
        flying = [] if cell.run is None else [cell.run]
        if cell.more is not None and cell.more.runs:
            flying += sorted(cell.more.runs, key=_started_order)
        return flying

    async def _quiet(self, cell: Cell, *, cancel: bool) -> None:
        more = cell.details()
        while self._flying(cell) and not more.killed and not cancel:
            await pause()
        flying = self._flying(cell)
        if flying:
            await self._unwind(cell, flying)

    async def _unwind(self, cell: Cell, runs: Iterable[Run]) -> None:
        """Cancel runs and give them a second; then never resume them again."""
        more = cell.details()
        runs = [run for run in runs if not run.over]
        if cell.block & SUSPENDED:
            cell.block &= ~SUSPENDED
        held, more.held = more.held or [], None
        for run in held:
            self._dispatcher.enqueue(run)
        for run in runs:
            run.cancel()
            if run._fut_waiter is None:
                self._dispatcher.enqueue(run)
        deadline = self._dispatcher.clock() + UNWIND
        timer = self._poke_at(more, deadline)
        while any(not run.over for run in runs) and self._dispatcher.clock() < deadline:
            await pause()
        timer.cancel()
        for run in runs:
            if not run.over:
                self._abandon(cell, run)

    def _abandon(self, cell: Cell, run: Run) -> None:
        self._dispatcher.system.leaks.append(cell.path)
        self._events.publish(Leaked(cell.ref, tuple(str(frame) for frame in run.get_stack())))
        run.abandon()
        if cell.run is run:
            cell.run = None
            cell.block &= ~BUSY
        if cell.more is not None and cell.more.runs:
            cell.more.runs.discard(run)
        envelope = run.envelope
        if envelope is not None and not run.hook:
            cell.bury(envelope[0], envelope[1], envelope[3], "killed")
        # From here on what the coroutine sends is rejected.
        cell.actor = None
        coroutine = run.coroutine
        if coroutine is not None:
            try:
                run.context.run(coroutine.close)
            except BaseException as error:  # noqa: BLE001 - whatever it does to stay alive
                self._events.publish(HookFailed(cell.ref, "close", error))

    async def _stop_children(self, cell: Cell) -> None:
        more = cell.details()
        state = more.supervision
        if state is not None and state.group is not None:
            state.group.drop()
            state.group = None
        while cell.children:
            # One look at all of them: looking for the last one each time is quadratic.
            for child in tuple(reversed(cell.children.values())):
                if more.killed:
                    break
                await self._stop_child(child, more)
            if more.killed:
                for child in tuple(reversed((cell.children or {}).values())):
                    self._end_child(child, kill=True)
                while cell.children:
                    await pause()

    async def _stop_child(self, child: Cell, more: Details) -> None:
        """Stop a child within its time; return early when its parent is killed meanwhile."""
        limit = child.options.shutdown
        self._end_child(child, kill=limit == 0)
        if child.block & ENDED:
            return
        timer = None
        if not math.isinf(limit):
            timer = self._dispatcher.loop.call_later(
                limit, self._overdue, child, context=self._dispatcher.turn_context
            )
        while not child.block & ENDED and not more.killed:
            await pause()
        if timer is not None:
            timer.cancel()

    def _end_child(self, child: Cell, *, kill: bool) -> None:
        more = child.details()
        ending = more.failure or Ending(Reason.SHUTDOWN)
        more.failure = None
        reason = Reason.KILLED if kill else ending.reason
        self.end(child, replace(ending, reason=reason, kill=kill, final=True))

    def _close_incarnation(  # noqa: PLR0912 - a list of what there may be
        self, cell: Cell, reason: Reason
    ) -> None:
        """End what belongs to the incarnation: timers, monitors, replies, links, self-sends."""
        cell.actor = None
        cell.context = None
        more = cell.more
        if more is None:
            return
        self._settle_killers(more, reason)
        more.tables = None
        more.supervision = None
        if more.timers:
            for timer in tuple(more.timers.values()):
                timer.cancel()
        if more.background:
            for task in tuple(more.background):
                task.cancel()
            more.background = None
        if more.watching:
            for monitor in tuple(more.watching):
                monitor.end("stale")
        if more.deferred:
            deferred, more.deferred = more.deferred, None
            for request in deferred:
                request.drop("stale")
        cell.bury_stale()
        if more.stash:
            stash, more.stash = more.stash, []
            if not cell.closed:
                cell.replay(stash)
            else:
                more.stash = stash
        if more.links:
            links, more.links = more.links, None
            for other in links:
                self._unlink(other, cell)
                if reason.abnormal:
                    self._link_fires(other, cell, reason)

    def _unlink(self, other: Cell, cell: Cell) -> None:
        if other.more is not None and other.more.links:
            other.more.links.pop(cell, None)

    def _link_fires(self, other: Cell, cell: Cell, reason: Reason) -> None:
        if other.block & ENDED or other.actor is None:
            return
        if blueprint_of(type(other.actor), Actor).traps:
            other.put_reserved(Exit(cell.ref, reason), cell)
            return
        error = LinkBroken(f"{cell.path}, linked to {other.path}, ended: {reason}", path=cell.path)
        error.__cause__ = reason.error
        self.order_failure(other, error)

    def link_to_nobody(self, mine: Cell, gone: Cell) -> None:
        """Linking to what has ended is like losing it at once."""
        self._link_fires(mine, gone, Reason.NO_ACTOR)

    # Restarting.

    async def _open(self, cell: Cell) -> BaseException | None:
        """Make a new incarnation; return what it raised if it did not start."""
        more = cell.details()
        try:
            hook = self._create(cell)
            if more.carried is not None and cell.actor is not None:
                carried, more.carried = more.carried, None
                cell.actor.restore(carried)
            if hook is not None:
                deadline = self._dispatcher.clock() + cell.options.start_timeout
                await self._hook(cell, hook, (), deadline)
        except BaseException as error:  # noqa: BLE001 - a supervision boundary
            more.killed = True
            await self._stop_children(cell)
            if cell.elsewhere:
                await self._let_go(cell)
            more.killed = False
            self._close_incarnation(cell, Reason.failed(error))
            return error
        return None

    def _reopened(self, cell: Cell, reason: Reason) -> None:
        more = cell.details()
        more.restarts += 1
        more.ready_since = self._dispatcher.clock()
        cell.block &= ~RESTARTING
        if self._events.active:
            self._events.publish(ActorRestarted(cell.ref, reason, more.restarts))
        if more.watchers:
            for monitor in tuple(more.watchers):
                if monitor.restarts:
                    monitor.notify(Restarted(cell.ref, reason))
        if not self._failed_meanwhile(cell):
            self._dispatcher.settle(cell)

    def _failed_meanwhile(self, cell: Cell) -> bool:
        """Deal with a failure that came between the start of an incarnation and the word of it."""
        failure = None if cell.more is None else cell.more.failure
        if failure is None:
            return False
        cell.details().failure = None
        self._over(cell, failure)
        return True

    def _restart_group(
        self, parent: Cell, state: SupervisionState, cell: Cell, ending: Ending, delay: float
    ) -> None:
        if state.group is not None:
            # It failed again while its group is being restarted; that one goes on with it.
            cell.details().failure = ending
            cell.block |= RESTARTING
            state.group.poke()
            return
        children = list((parent.children or {}).values())
        if state.policy.strategy is Strategy.REST_FOR_ONE:
            children = children[children.index(cell) :]
        cell.details().failure = ending
        cell.block |= RESTARTING
        state.group = Control(self._dispatcher, self._regroup(parent, state, children, delay))
        state.group.resume()

    async def _regroup(
        self, parent: Cell, state: SupervisionState, cells: list[Cell], delay: float
    ) -> None:
        clock = self._dispatcher.clock
        group = state.group
        while True:
            for cell in reversed(cells):
                await self._close_in_group(cell)
            cells = [cell for cell in cells if not cell.block & ENDED]
            if delay and group is not None:
                until = clock() + delay
                self._dispatcher.loop.call_at(
                    until, group.poke, context=self._dispatcher.turn_context
                )
                while clock() < until:
                    await pause()
            failed: tuple[Cell, BaseException] | None = None
            for cell in cells:
                more = cell.details()
                if cell.block & ENDED:
                    continue
                more.control = state.group
                error = await self._open(cell)
                more.control = None
                if more.final:
                    self.end(cell, Ending(Reason.SHUTDOWN, kill=more.killed, final=True))
                elif error is not None:
                    failed = cell, error
                    break
                else:
                    self._reopened(cell, Reason.SHUTDOWN)
            if failed is None:
                state.group = None
                return
            cell, error = failed
            again = state.allow(cell, clock(), self._dispatcher.system.seed)
            if again is None:
                state.group = None
                self._escalate(cell, parent, state, Ending(Reason.failed(error)))
                return
            delay = again

    async def _close_in_group(self, cell: Cell) -> None:
        if cell.block & ENDED:
            return
        more = cell.details()
        ending = more.failure or Ending(Reason.SHUTDOWN)
        more.failure = None
        temporary = cell.options.restart is Restart.TEMPORARY
        kill = cell.options.shutdown == 0
        self.end(cell, replace(ending, hold=True, final=temporary, kill=kill or ending.kill))
        timer = None
        if more.control is not None and not math.isinf(cell.options.shutdown):
            timer = self._dispatcher.loop.call_later(
                cell.options.shutdown, self._kill_incarnation, cell
            )
        while more.control is not None and not cell.block & ENDED:
            await pause()
        if timer is not None:
            timer.cancel()

    def _kill_incarnation(self, cell: Cell) -> None:
        more = cell.details()
        more.killed = True
        if more.control is not None:
            more.control.poke()

    # The end of an address.

    def finish(  # noqa: C901, PLR0912 - a list of who has to know
        self, cell: Cell, reason: Reason, *, failed_start: bool = False
    ) -> None:
        """Take an actor off the books; everyone who wanted to know learns it now."""
        more = cell.more
        cell.block = ENDED | CLOSED
        cell.limit = -1
        cell.idle = False
        cell.actor = None
        cell.context = None
        cell.table = {}
        parent = cell.parent
        if parent is not None and parent.children is not None:
            if parent.children.get(cell.name) is cell:
                del parent.children[cell.name]
            if not parent.children:
                parent.children = None
        cell.bury_queue("killed" if reason.kind == "killed" else "stopped")
        if more is not None:
            more.reason = reason
            self._settle_killers(more, reason)
            if more.overdue is not None:
                more.overdue.cancel()
                more.overdue = None
            if more.memberships:
                for membership in tuple(more.memberships):
                    membership.leave(cell)
                more.memberships = None
            if more.watchers:
                watchers, more.watchers = more.watchers, None
                for monitor in watchers:
                    monitor.notify(Down(cell.ref, reason))
                    monitor.forget()
            if more.joiners:
                joiners, more.joiners = more.joiners, None
                for joiner in joiners:
                    joiner.settle(reason)
        elif reason is not Reason.NORMAL:
            cell.details().reason = reason
        self._dispatcher.system.on_ended()
        if failed_start:
            self._tell_parent(cell)
            return
        if self._events.active or reason.kind == "failed":
            self._events.publish(ActorEnded(cell.ref, reason))
        self._tell_parent(cell)
        if parent is not None and cell.options.significant and not parent.block & GOING:
            self._auto_shutdown(parent)

    def _tell_parent(self, cell: Cell) -> None:
        parent = cell.parent
        more = None if parent is None else parent.more
        if more is not None:
            if more.control is not None:
                more.control.poke()
            if more.supervision is not None and more.supervision.group is not None:
                more.supervision.group.poke()

    def _auto_shutdown(self, parent: Cell) -> None:
        policy = self.supervision(parent).policy
        left = any(child.options.significant for child in (parent.children or {}).values())
        if policy.auto_shutdown == "any" or (policy.auto_shutdown == "all" and not left):
            self.order(parent, Ending(Reason.SHUTDOWN, final=True))


def _started_order(run: Run) -> int:
    return 0 if run.envelope is None else run.envelope[2]
