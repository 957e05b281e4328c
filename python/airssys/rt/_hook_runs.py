"""Hooks of actors, run to their end within their time, and runs that are cut short."""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

import math
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from airssys.rt._cell import BUSY, SUSPENDED
from airssys.rt._control import pause
from airssys.rt._run import DONE, Run
from airssys.rt.errors import WaitTimeout
from airssys.rt.events import HookFailed, Leaked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airssys.rt._blueprint import Hook
    from airssys.rt._cell import Cell
    from airssys.rt._details import Details
    from airssys.rt._dispatcher import Dispatcher

__all__ = ["HookRuns"]

#: Seconds that a killed coroutine may take to unwind before it is abandoned.
UNWIND = 1.0


class HookRuns:
    """Runs hooks between the handlers of an actor, and ends what an actor still runs."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._events = dispatcher.system.events

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


def _started_order(run: Run) -> int:
    return 0 if run.envelope is None else run.envelope[2]
