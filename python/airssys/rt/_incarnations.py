"""The beginning and the end of one incarnation of an actor."""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from airssys.rt._blueprint import Blueprint, Hook, blueprint_of
from airssys.rt._cell import ENDED
from airssys.rt._control import Ending, pause
from airssys.rt._hook_runs import UNWIND
from airssys.rt._orders import Orders
from airssys.rt.actor import Actor
from airssys.rt.errors import InvalidSpec, LinkBroken
from airssys.rt.events import HookFailed, Leaked
from airssys.rt.messages import Exit, Reason

if TYPE_CHECKING:
    from airssys.rt._cell import Cell
    from airssys.rt._details import Details

__all__ = ["Incarnations"]


class Incarnations(Orders, ABC):
    """Makes the object of an actor, and takes it away with all that was its own."""

    @abstractmethod
    def end(self, cell: Cell, ending: Ending) -> None:
        """Begin an end, or make the one in progress harder."""

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
