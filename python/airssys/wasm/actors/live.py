"""The actors of a deployment as they run, seen from outside."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airssys.rt import System
    from airssys.wasm.actors.fleet import Fleet

__all__ = ["LiveActor", "look_at"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LiveActor:
    """An actor as it is seen from outside.

    Attributes:
        key: Which of the deployment's actors; empty for the main one.
        state: `running`, `suspended`, `restarting` and so on.
        health: `healthy`, `degraded`, `unhealthy` or `unknown`.
        detail: What the component says of its health.
        version: Of the component, as it says.
        accepts: The codecs that it takes; none for all.
        restarts: How often it was restarted.
        memory: Bytes of its linear memory.
        queued: Messages that wait.
        handled: Messages that were handled.
        dead: Messages that were not.
    """

    key: str
    state: str
    health: str
    detail: str
    version: str | None
    accepts: tuple[str, ...]
    restarts: int
    memory: int
    queued: int
    handled: int
    dead: int


async def look_at(fleet: Fleet, system: System) -> tuple[LiveActor, ...]:
    """Return the actors of a deployment, each asked for its health once it runs."""
    # A client of a server has the record above without what the codecs need.
    from airssys.wasm.actors.failures import codec_name  # noqa: PLC0415

    found = []
    for place in fleet.places:
        health = await system.health(place.ref)
        seen, native = system.inspect(place.ref), place.native.inspect()
        about = place.native.about
        found.append(
            LiveActor(
                key=place.ref.key,
                state=seen.state,
                health=health.value,
                detail=native["health"][1],
                version=None if about is None else about["version"],
                accepts=tuple(codec_name(number) for number in place.native.accepts),
                restarts=seen.restarts,
                memory=native["memory"],
                queued=seen.books.queued,
                handled=seen.books.handled,
                dead=seen.books.dead,
            )
        )
    return tuple(found)
