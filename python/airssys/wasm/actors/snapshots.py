"""The state of a component actor between its incarnations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from airssys.wasm.actors.place import Place

__all__ = ["SnapshotStore", "Snapshots"]


class SnapshotStore(Protocol):
    """Where snapshots outlive the host."""

    def load(self, address: str) -> bytes | None:
        """Return the snapshot that was saved last."""
        ...

    def save(self, address: str, snapshot: bytes, revision: int) -> None:
        """Keep a snapshot durably. Called on another thread."""
        ...


class Snapshots:
    """Takes an actor's state on a schedule and at its end, and gives it to the next incarnation.

    Attributes:
        last: The snapshot that was taken last.
    """

    def __init__(self, store: SnapshotStore | None = None) -> None:
        self.last: bytes | None = None
        self._store = store
        self._loaded = False
        self._task: asyncio.Task[None] | None = None

    async def for_start(self, place: Place) -> bytes | None:
        """Return the state that a new incarnation continues from."""
        if not self._loaded and self._store is not None:
            self.last = await place.exchange.in_thread(self._store.load, place.address)
        self._loaded = True
        return self.last

    async def take(self, place: Place) -> None:
        """Take the state now, between messages, and keep it."""
        await self.keep(place, await place.native.snapshot(place.make.settings.shutdown))

    async def keep(self, place: Place, snapshot: bytes) -> None:
        """Keep the state that an incarnation left."""
        self.last = snapshot
        self._loaded = True
        if self._store is not None:
            await place.exchange.in_thread(
                self._store.save, place.address, snapshot, place.make.revision
            )

    def schedule(self, place: Place) -> None:
        """Take the state every so often while the actor lives."""
        if place.make.settings.snapshot_every and self._task is None:
            self._task = place.exchange.system.own_task(self._regularly(place))
            self._task.add_done_callback(self._over)

    def _over(self, _task: object) -> None:
        self._task = None

    async def _regularly(self, place: Place) -> None:
        while place.ref.alive:
            await asyncio.sleep(place.make.settings.snapshot_every or 0)
            if place.native.state == "running":
                await place.quietly("snapshot", self.take(place))
