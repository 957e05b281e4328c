"""Starting, stopping, killing and restarting actors, in the order that the contract gives.

One state machine in layers, each of which relies on those below: hooks and what still runs
(`_hook_runs`), orders from outside (`_orders`), one incarnation (`_incarnations`), the supervisor's
decisions (`_supervising`), and here the course that a life takes through them.
"""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys.errors import AirsSysError
from airssys.rt._cell import CLOSED, ENDED, ENDING, RESTARTING, STARTING
from airssys.rt._control import Control, Ending, pause
from airssys.rt._request import Completion
from airssys.rt._supervising import GOING, Supervising
from airssys.rt.errors import RuntimeFailure, SpawnFailed
from airssys.rt.events import ActorRestarting, ActorStarted, ActorStopping
from airssys.rt.messages import Reason

if TYPE_CHECKING:
    from airssys.rt._cell import Cell
    from airssys.rt._run import Run

__all__ = ["Lifecycle"]


class Lifecycle(Supervising):
    """Carries out starts and ends. It runs between handlers, never inside one."""

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

    # Orders, once it is their turn.

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
