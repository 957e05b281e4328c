"""The counters of the message plane in the words of the actor runtime."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from airssys.rt import Books

if TYPE_CHECKING:
    from airssys.rt import Inspection
    from airssys.rt._foreign import ForeignCell

__all__ = ["complete_inspection", "sum_books"]


def sum_books(cell: ForeignCell, native: dict[str, Any], asks: int) -> Books:
    """Return the books of an address: what the plane counted, and what never reached it.

    Args:
        cell: The runtime's side; it counts what died on this side of the boundary.
        native: What the plane says.
        asks: Asks from Python that the plane has taken; it counts those itself.
    """
    more = cell.more
    dead = 0 if more is None else more.dead
    reasons = dict(native["dead_by_reason"])
    for reason, count in ({} if more is None else more.dead_by_reason).items():
        reasons[reason] = reasons.get(reason, 0) + count
    dropped = cell.asked - asks
    return Books(
        path=cell.path,
        accepted=native["accepted"] + cell.accepted,
        handled=native["handled"],
        queued=sum(native["queued"].values()),
        stashed=0,
        in_flight=native["in_flight"],
        dead=native["dead"] + dead,
        asked=native["asked"] + dropped,
        answered=native["answered"],
        failed=native["failed"] + dropped,
        expired=native["expired"],
        cancelled=native["cancelled"],
        pending=native["pending"],
        dead_by_reason=reasons,
    )


def complete_inspection(
    seen: Inspection, native: dict[str, Any], snapshot: bytes | None
) -> Inspection:
    """Return what is seen of an address with what only the plane knows."""
    return dataclasses.replace(
        seen,
        lanes=dict(native["queued"]),
        next_messages=(),
        snapshot=snapshot,
        awaits=native["waiting_for"],
        missed_ticks=native["timers_missed"],
        health=native["health"][0] if seen.health == "unknown" else seen.health,
    )
