"""What an actor is told to do at its end, before any further message."""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from airssys.rt._cell import ENDED, SIGNAL
from airssys.rt._control import Ending
from airssys.rt._hook_runs import HookRuns
from airssys.rt._mailbox import MESSAGE
from airssys.rt._request import Completion
from airssys.rt.messages import Reason

if TYPE_CHECKING:
    from airssys.rt._cell import Cell
    from airssys.rt._details import Details
    from airssys.rt._mailbox import Envelope

__all__ = ["Orders"]


class Orders(HookRuns):
    """Takes orders to stop, to fail and to be killed; they are carried out between handlers."""

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

    def order_failure(self, cell: Cell, error: BaseException) -> None:
        """Fail an incarnation before its next message."""
        self.order(cell, Ending(Reason.failed(error), error, None, cancel=True))

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

    def _settle_killers(self, more: Details, reason: Reason) -> None:
        if more.killers:
            killers, more.killers = more.killers, None
            for killer in killers:
                killer.settle(reason)
