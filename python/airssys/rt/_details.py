"""What few actors need: stash, timers, monitors, links, lifecycle in progress, rare counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections import deque
    from collections.abc import Callable

    from airssys.rt._blueprint import Handler
    from airssys.rt._cell import Cell
    from airssys.rt._control import Control, Ending
    from airssys.rt._mailbox import Envelope
    from airssys.rt._request import Completion, Request
    from airssys.rt._run import Run
    from airssys.rt._timers import Timer
    from airssys.rt.messages import DeadReason, Reason
    from airssys.rt.monitors import Monitor
    from airssys.rt.supervision import SupervisionState

__all__ = ["Details"]


class Details:
    """The second half of a `Cell`, allocated on first use.

    Attributes:
        ending: The end that was ordered and not yet carried out.
        failure: How the incarnation failed, while its supervisor's end takes it along.
        final: Whether the end in progress is the end of the address.
        killed: Whether the end in progress skips hooks and cancels handlers.
        killers: Those who wait for the incarnation to be killed.
        when_quiet: What to do as soon as no handler is in flight.
        watchers: Monitors that watch this actor.
        watching: Monitors that this actor holds.
    """

    __slots__ = (
        "asks_cancelled",
        "asks_expired",
        "asks_failed",
        "background",
        "carried",
        "consecutive",
        "control",
        "dead",
        "dead_by_reason",
        "deferred",
        "draining",
        "ending",
        "failure",
        "final",
        "health",
        "held",
        "joiners",
        "killed",
        "killers",
        "links",
        "memberships",
        "missed_ticks",
        "overdue",
        "postponed",
        "ready_since",
        "reason",
        "recent",
        "restarts",
        "runs",
        "stash",
        "supervision",
        "tables",
        "timers",
        "traced",
        "uid",
        "watchers",
        "watching",
        "when_quiet",
    )

    def __init__(self) -> None:
        self.dead = 0
        self.dead_by_reason: dict[DeadReason, int] = {}
        self.asks_failed = 0
        self.asks_expired = 0
        self.asks_cancelled = 0
        self.missed_ticks = 0
        self.stash: list[Envelope] = []
        self.runs: set[Run] | None = None
        self.held: list[Run] | None = None
        self.control: Control | None = None
        self.ending: Ending | None = None
        self.failure: Ending | None = None
        self.draining = False
        self.final = False
        self.killed = False
        self.when_quiet: list[Callable[[], None]] = []
        self.killers: list[Completion[Reason]] | None = None
        self.joiners: list[Completion[Any]] | None = None
        self.watchers: dict[Monitor, None] | None = None
        self.watching: dict[Monitor, None] | None = None
        self.links: dict[Cell, None] | None = None
        self.timers: dict[object, Timer] | None = None
        self.deferred: dict[Request[Any], None] | None = None
        self.background: set[asyncio.Task[Any]] | None = None
        self.memberships: list[Any] | None = None
        self.supervision: SupervisionState | None = None
        self.reason: Reason | None = None
        self.overdue: asyncio.TimerHandle | None = None
        self.uid = 0
        self.health = "unknown"
        self.postponed = 0
        self.consecutive = 0
        self.restarts = 0
        self.ready_since = 0.0
        self.carried: Any = None
        self.traced = False
        self.recent: deque[tuple[float, object]] | None = None
        self.tables: list[dict[type, Handler]] | None = None
