"""Which keys the actors of deployments have, and their last snapshots, in the state directory."""

# pyright: reportPrivateUsage=false
# The tables stand in the registry's database.

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, cast

from airssys.wasm.actors.hand_over import MOST_KEPT, Kept

if TYPE_CHECKING:
    from airssys.wasm.actors.hand_over import Rollback
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
            "SELECT actors.key, length(last.snapshot), last.revision, last.at FROM actors"
            " JOIN deployments ON id = actors.deployment LEFT JOIN snapshots AS last"
            " ON last.deployment = actors.deployment AND last.key = actors.key"
            " AND last.sequence = (SELECT max(sequence) FROM snapshots"
            " WHERE deployment = actors.deployment AND key = actors.key)"
            " WHERE name = ? AND removed_at IS NULL ORDER BY actors.key",
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
            for table in ("actors", "snapshots"):
                connection.execute(
                    f"DELETE FROM {table} WHERE deployment = ? AND key = ?",  # noqa: S608 - two names
                    (identity, key),
                )

    def load(self, address: str) -> tuple[Kept, ...]:
        """Return the last snapshot that each revision of an actor wrote, the latest first.

        One of a revision that was never recorded, because the host was killed before, is nothing.
        """
        deployment, _, key = address.partition("#")
        rows = self._registry._read(  # noqa: SLF001
            "SELECT snapshot, snapshots.revision, snapshots.version, rollback FROM snapshots"
            " JOIN deployments ON id = snapshots.deployment"
            " JOIN revisions ON revisions.deployment = id AND number = snapshots.revision"
            " WHERE name = ? AND removed_at IS NULL AND key = ? ORDER BY sequence DESC",
            deployment,
            key,
        )
        return tuple(Kept(row[0], row[1], row[2], cast("Rollback", row[3])) for row in rows)

    def save(self, address: str, kept: Kept) -> None:
        """Keep a snapshot durably, in the place of the last one of its revision.

        Raises:
            StateWriteFailed: It could not be written; the one before is kept.
        """
        deployment, _, key = address.partition("#")
        identity = self._registry.deployment(deployment).id
        with self._registry._writing("keep the snapshot") as connection:  # noqa: SLF001
            (sequence,) = connection.execute(
                "SELECT coalesce(max(sequence), 0) + 1 FROM snapshots"
                " WHERE deployment = ? AND key = ?",
                (identity, key),
            ).fetchone()
            connection.execute(
                "INSERT OR REPLACE INTO snapshots (deployment, key, revision, sequence, version,"
                " rollback, snapshot, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    identity,
                    key,
                    kept.revision,
                    sequence,
                    kept.version,
                    kept.rollback,
                    kept.snapshot,
                    time.time(),
                ),
            )
            connection.execute(
                "DELETE FROM snapshots WHERE deployment = ?1 AND key = ?2 AND sequence NOT IN"
                " (SELECT sequence FROM snapshots WHERE deployment = ?1 AND key = ?2"
                " ORDER BY sequence DESC LIMIT ?3)",
                (identity, key, MOST_KEPT),
            )
