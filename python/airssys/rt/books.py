"""Looking at actors from outside, without their help."""

# pyright: reportPrivateUsage=false
# Modules of this package know each other's insides.

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airssys.rt._foreign import ForeignCell
from airssys.rt._mailbox import MESSAGE
from airssys.rt.messages import Priority

if TYPE_CHECKING:
    from airssys.rt._cell import Cell
    from airssys.rt.messages import DeadReason
    from airssys.rt.ref import Ref

__all__ = ["Books", "Inspection"]


@dataclass(frozen=True, slots=True)
class Books:
    """The counters of one mailbox; they always add up between two steps.

    `accepted = handled + queued + stashed + in_flight + dead` and
    `asked = answered + failed + expired + cancelled + pending`.
    """

    path: str
    accepted: int
    handled: int
    queued: int
    stashed: int
    in_flight: int
    dead: int
    asked: int
    answered: int
    failed: int
    expired: int
    cancelled: int
    pending: int
    dead_by_reason: dict[DeadReason, int]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What there is to see of an actor.

    Attributes:
        state: `starting running suspended restarting stopping stopped failed`.
        actor: The class of its present incarnation, if there is one.
        lanes: Messages queued, by lane.
        next_messages: The first few that are queued in the normal lane.
        last_handler: The handler method that ran last.
        recent: The last messages with their loop times, oldest first, while it is traced.
        snapshot: What `snapshot()` says, when no handler is in flight; else None.
        awaits: What a suspended handler awaits.
        restarts: How often it was restarted.
        health: The verdict of its health check: `healthy degraded unhealthy unknown`.
        links: Paths of linked actors.
    """

    path: str
    state: str
    actor: str | None
    parent: str | None
    children: tuple[str, ...]
    lanes: dict[str, int]
    next_messages: tuple[object, ...]
    last_handler: str | None
    recent: tuple[tuple[float, object], ...]
    snapshot: Any
    awaits: str | None
    restarts: int
    health: str
    missed_ticks: int
    links: tuple[str, ...]
    books: Books


def books_of(cell: Cell, pending: int) -> Books:
    """The counters of one mailbox; `pending` asks are counted by the caller."""
    if isinstance(cell, ForeignCell):
        return cell.outside.books(pending)
    more = cell.more
    return Books(
        path=cell.path,
        accepted=cell.accepted,
        handled=cell.handled,
        queued=cell.queued,
        stashed=cell.stashed,
        in_flight=cell.in_flight,
        dead=0 if more is None else more.dead,
        asked=cell.asked,
        answered=cell.answered,
        failed=0 if more is None else more.asks_failed,
        expired=0 if more is None else more.asks_expired,
        cancelled=0 if more is None else more.asks_cancelled,
        pending=pending,
        dead_by_reason={} if more is None else dict(more.dead_by_reason),
    )


def inspect_cell(cell: Cell, ref: Ref[Any], state: str, pending: int) -> Inspection:
    """Everything there is to see; only reads, so it may be called from any thread."""
    more = cell.more
    actor = cell.actor
    lanes = cell.lanes
    counts = {priority.name.lower(): 0 for priority in Priority}
    counts["normal"] = cell.count
    if lanes is not None:
        counts["low"] = lanes.low.count
        counts["high"] = lanes.high.count
        counts["critical"] = lanes.critical.count
    following: list[object] = []
    envelope = cell.head
    while envelope is not None and len(following) < 5:
        following.append(envelope[MESSAGE])
        envelope = envelope[4]
    run = cell.run
    free = run is None and actor is not None and cell.dispatcher.current is not cell
    seen = Inspection(
        path=ref.path,
        state=state,
        actor=None if actor is None else type(actor).__qualname__,
        parent=None if cell.parent is None or cell.parent.parent is None else cell.parent.path,
        children=tuple(cell.children or ()),
        lanes=counts,
        next_messages=tuple(following),
        last_handler=None if cell.last is None else cell.last.name,
        recent=() if more is None or more.recent is None else tuple(more.recent),
        snapshot=actor.snapshot() if free and actor is not None else None,
        awaits=None if run is None else repr(run._fut_waiter),
        restarts=0 if more is None else more.restarts,
        health="unknown" if more is None else more.health,
        missed_ticks=0 if more is None else more.missed_ticks,
        links=() if more is None else tuple(other.path for other in tuple(more.links or ())),
        books=books_of(cell, pending),
    )
    return cell.outside.inspection(seen) if isinstance(cell, ForeignCell) else seen
