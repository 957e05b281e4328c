"""What becomes of the state of an actor when another revision takes over."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final, Literal

from airssys.rt import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airssys.wasm.actors.make import Make

__all__ = [
    "MOST_KEPT",
    "HandOver",
    "HandOverRefused",
    "Inheritance",
    "Kept",
    "Rollback",
    "StateRules",
    "inheritance",
]

HandOver = Literal["none", "snapshot", "migrate"]
Rollback = Literal["reverse", "discard", "refuse"]


#: Revisions whose last snapshot is kept, those that wrote last.
MOST_KEPT: Final = 6


class HandOverRefused(RuntimeFailure):
    """The state cannot be handed to the revision that was to take over; the other one goes on."""

    default_code = "hand-over-refused"


@dataclasses.dataclass(frozen=True, slots=True)
class StateRules:
    """What a component declares of its state, in `[state]` of its manifest.

    Attributes:
        hand_over: `none` begins anew, `snapshot` restores what the earlier revision wrote as it is,
            `migrate` lets the component migrate it first where another version wrote it.
        rollback: Whether an earlier revision may take the state that this one writes: `reverse`
            hands it over the same way, `discard` goes on from what the earlier revision left,
            `refuse` refuses the rollback.
    """

    hand_over: HandOver
    rollback: Rollback


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot that was kept.

    Attributes:
        snapshot: The state as the component wrote it.
        revision: The revision that wrote it.
        version: The version that the component gave itself, where it did.
        rollback: Whether an earlier revision may take it.
    """

    snapshot: bytes
    revision: int
    version: str | None = None
    rollback: Rollback = "reverse"


@dataclasses.dataclass(frozen=True, slots=True)
class Inheritance:
    """What an incarnation continues from.

    Attributes:
        kept: The snapshot.
        version: The version that it is to be migrated from; None restores it as it is.
    """

    kept: Kept
    version: str | None = None


def inheritance(address: str, kept: Iterable[Kept], make: Make) -> Inheritance | None:
    """Choose what the next incarnation of an actor continues from; None lets it begin anew.

    Args:
        address: The actor.
        kept: What was kept, the latest first; at most one of each revision.
        make: What the incarnation is made of.

    Raises:
        HandOverRefused: The latest was written by a later revision, which refuses that.
    """
    kept = tuple(kept)
    if not kept or not make.exports("state"):
        return None
    latest = kept[0]
    if latest.revision > make.revision:
        if latest.rollback == "refuse":
            raise HandOverRefused(
                f"revision {latest.revision} of '{address}' declares that no earlier revision can "
                f"take its state, so revision {make.revision} does not; deploy a revision that "
                "can, or deploy it with rollback='discard' to go on from the earlier state",
                address=address,
            )
        if latest.rollback == "discard":
            own = [one for one in kept if one.revision <= make.revision]
            return _taken(max(own, key=lambda one: one.revision), make) if own else None
    return _taken(latest, make)


def _taken(kept: Kept, make: Make) -> Inheritance | None:
    if kept.revision == make.revision:
        return Inheritance(kept)
    hand_over = make.settings.state_rules.hand_over
    if hand_over == "none":
        return None
    migrates = hand_over == "migrate" and kept.version is not None and make.exports("lifecycle")
    return Inheritance(kept, kept.version if migrates else None)
