"""Which keys the actors of deployments have, and their last snapshots, in the state directory."""

# pyright: reportPrivateUsage=false
# The tables stand in the registry's database.

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airssys.wasm.registry import Registry

__all__ = ["ActorRecord", "ActorRecords"]


@dataclasses.dataclass(frozen=True, slots=True)
class ActorRecord:
    """What is kept of one actor.

    Attributes:
        key: Its key; empty for the main one.
        size: Bytes of its last snapshot, or None.
        revision: The revision that wrote it.
        at: When, in seconds since 1970.
    """

    key: str
    size: int | None
    revision: int | None
    at: float | None

    def __str__(self) -> str:
        kept = "no snapshot" if self.size is None else f"snapshot of {self.size} bytes"
        return f"{self.key or 'main'}: {kept}"


class ActorRecords:
    """Keeps the keys and snapshots of component actors. Safe to use from several threads.

    Args:
        registry: The open registry of the state directory.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def keys(self, deployment: str) -> tuple[str, ...]:
        """Return the keys of a deployment's actors, sorted."""
        rows = self._registry._read(  # noqa: SLF001
            "SELECT key FROM actors JOIN deployments ON id = deployment"
            " WHERE name = ? AND removed_at IS NULL ORDER BY key",
            deployment,
        )
        return tuple(key for (key,) in rows)

    def states(self, deployment: str) -> tuple[ActorRecord, ...]:
        """Return what is kept of a deployment's actors, by key."""
        rows = self._registry._read(  # noqa: SLF001
            "SELECT key, length(snapshot), actors.revision, actors.at FROM actors"
            " JOIN deployments ON id = deployment"
            " WHERE name = ? AND removed_at IS NULL ORDER BY key",
            deployment,
        )
        return tuple(ActorRecord(*row) for row in rows)

    def add(self, deployment: str, key: str) -> None:
        """Record that there is an actor of this key; twice is once.

        Raises:
            StateWriteFailed: It could not be written.
        """
        identity = self._registry.deployment(deployment).id
        with self._registry._writing("record the actor") as connection:  # noqa: SLF001
            connection.execute(
                "INSERT OR IGNORE INTO actors (deployment, key) VALUES (?, ?)", (identity, key)
            )

    def remove(self, deployment: str, key: str) -> None:
        """Record that an actor is gone for good, and its snapshot with it."""
        identity = self._registry.deployment(deployment).id
        with self._registry._writing("forget the actor") as connection:  # noqa: SLF001
            connection.execute(
                "DELETE FROM actors WHERE deployment = ? AND key = ?", (identity, key)
            )

    def load(self, address: str) -> bytes | None:
        """Return the last snapshot of an actor, or None."""
        deployment, _, key = address.partition("#")
        rows = self._registry._read(  # noqa: SLF001
            "SELECT snapshot FROM actors JOIN deployments ON id = deployment"
            " WHERE name = ? AND removed_at IS NULL AND key = ?",
            deployment,
            key,
        )
        return rows[0][0] if rows else None

    def save(self, address: str, snapshot: bytes, revision: int) -> None:
        """Keep a snapshot durably.

        Raises:
            StateWriteFailed: It could not be written; the one before is kept.
        """
        deployment, _, key = address.partition("#")
        identity = self._registry.deployment(deployment).id
        with self._registry._writing("keep the snapshot") as connection:  # noqa: SLF001
            connection.execute(
                "INSERT INTO actors (deployment, key, snapshot, revision, at)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " snapshot = excluded.snapshot, revision = excluded.revision, at = excluded.at",
                (identity, key, snapshot, revision, time.time()),
            )
