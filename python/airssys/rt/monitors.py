"""Monitors: being told when another actor ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airssys.rt._mailbox import MESSAGE, SENDER, Lane

if TYPE_CHECKING:
    from airssys.rt._cell import Cell
    from airssys.rt.messages import DeadReason
    from airssys.rt.ref import Ref

__all__ = ["Monitor"]


class Monitor:
    """One watch of one address; `Down` comes once, `Restarted` each time if asked for.

    Attributes:
        ref: The address that is watched.
        restarts: Whether `Restarted` is sent.
    """

    __slots__ = ("_notices", "_target", "_watcher", "ref", "restarts")

    def __init__(self, watcher: Cell, target: Cell | None, ref: Ref[Any], restarts: bool) -> None:
        self._watcher = watcher
        self._target = target
        self.ref = ref
        self.restarts = restarts
        self._notices: list[object] = []
        if target is not None:
            more = target.details()
            if more.watchers is None:
                more.watchers = {}
            more.watchers[self] = None
        more = watcher.details()
        if more.watching is None:
            more.watching = {}
        more.watching[self] = None

    def notify(self, notice: object) -> None:
        """Queue a notice in its reserved slot, behind what the target has sent."""
        self._notices.append(notice)
        self._watcher.put_reserved(notice, self._target)

    def cancel(self) -> None:
        """Stop watching; a notice that is already queued is taken back."""
        self.end("cancelled")

    def end(self, reason: DeadReason) -> None:
        """Stop watching and make what is queued a dead letter of that reason."""
        target = self._target
        if target is not None and target.more is not None and target.more.watchers:
            target.more.watchers.pop(self, None)
        self.forget()
        cell = self._watcher
        lanes: tuple[Lane, ...] = (cell,)
        if cell.lanes is not None:
            lanes = (*cell.lanes.all(cell), cell.lanes.replay)
        notices = {id(notice) for notice in self._notices}
        for lane in lanes:
            for envelope in lane.take_out(lambda one: id(one[MESSAGE]) in notices):
                cell.bury(envelope[MESSAGE], envelope[SENDER], None, reason)
        cell.admit()

    def forget(self) -> None:
        """The watcher holds it no longer."""
        watching = self._watcher.details().watching
        if watching is not None:
            watching.pop(self, None)
