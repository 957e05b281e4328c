"""What a supervisor does when a child is over, and who learns of the end of an address."""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from airssys.rt._cell import CLOSED, ENDED, ENDING, RESTARTING
from airssys.rt._control import Control, Ending, pause
from airssys.rt._incarnations import Incarnations
from airssys.rt._options import Restart
from airssys.rt.errors import RestartLimit
from airssys.rt.events import ActorEnded, ActorFailing, ActorRestarted, LimitExceeded
from airssys.rt.messages import Down, Reason, Restarted
from airssys.rt.supervision import Strategy, Supervision, SupervisionState

if TYPE_CHECKING:
    from airssys.rt._cell import Cell

__all__ = ["GOING", "Supervising"]

GOING = ENDING | RESTARTING | ENDED


class Supervising(Incarnations):
    """Decides about incarnations that are over: one more, a whole group, or the end."""

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

    def _finish(self, cell: Cell, reason: Reason) -> None:
        cell.details().control = None
        self.finish(cell, reason)

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
