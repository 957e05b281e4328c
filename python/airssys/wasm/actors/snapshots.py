"""The state of a component actor between its incarnations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from airssys.wasm.actors.hand_over import MOST_KEPT, Kept, inheritance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airssys.wasm.actors.hand_over import Inheritance
    from airssys.wasm.actors.make import Make
    from airssys.wasm.actors.place import Place

__all__ = ["SnapshotStore", "Snapshots"]


class SnapshotStore(Protocol):
    """Where snapshots outlive the host."""

    def load(self, address: str) -> Sequence[Kept]:
        """Return the last snapshot that each revision wrote, the latest first."""
        ...

    def save(self, address: str, kept: Kept) -> None:
        """Keep a snapshot durably. Called on another thread."""
        ...


class Snapshots:
    """Takes an actor's state on a schedule and at its end, and gives it to the next incarnation."""

    def __init__(self, store: SnapshotStore | None = None) -> None:
        self._store = store
        self._kept: list[Kept] = []
        self._loaded = store is None
        self._task: asyncio.Task[None] | None = None

    @property
    def last(self) -> bytes | None:
        """The snapshot that was taken last."""
        return self._kept[0].snapshot if self._kept else None

    async def kept(self, place: Place) -> Sequence[Kept]:
        """Return the last snapshot that each revision wrote, the latest first."""
        if not self._loaded and self._store is not None:
            self._kept = list(await place.exchange.in_thread(self._store.load, place.address))
            self._loaded = True
        return tuple(self._kept)

    async def inherited(self, place: Place, make: Make) -> Inheritance | None:
        """Return what an incarnation made of `make` continues from.

        Raises:
            HandOverRefused: It may not take the state that there is.
        """
        return inheritance(place.address, await self.kept(place), make)

    async def take(self, place: Place) -> None:
        """Take the state now, between messages, and keep it."""
        await self.keep(place, await place.native.snapshot(place.make.settings.shutdown))

    async def keep(self, place: Place, snapshot: bytes) -> None:
        """Keep the state that the present incarnation gave."""
        kept = place.written(snapshot)
        await self.kept(place)
        others = [one for one in self._kept if one.revision != kept.revision]
        self._kept = [kept, *others[: MOST_KEPT - 1]]
        if self._store is not None:
            await place.exchange.in_thread(self._store.save, place.address, kept)

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
