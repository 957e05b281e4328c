"""What is on record of component actors, with and without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys.wasm.actors.records import ActorRecords
from airssys.wasm.remote.wire import KeptActors

if TYPE_CHECKING:
    from airssys.wasm.registry import Registry

__all__ = ["kept_actors"]


def kept_actors(registry: Registry) -> list[KeptActors]:
    """Return what is kept of the actors of each deployment that has actors, by name."""
    records = ActorRecords(registry)
    found = []
    for record in registry.deployments():
        live = registry.revision(record.name, record.live)
        if live.settings.actor is not None:
            found.append(
                KeptActors(
                    deployment=record.name,
                    revision=live.number,
                    restart=live.settings.actor.restart,
                    actors=records.states(record.name),
                )
            )
    return found
