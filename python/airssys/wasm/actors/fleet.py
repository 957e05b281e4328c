"""The actors of one deployment, one per key, under a supervisor of their own."""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import TYPE_CHECKING, Any, Final, cast

from airssys.rt import TEMPORARY, Supervisor
from airssys.wasm.actors.child import ComponentChild
from airssys.wasm.actors.keys import address_of, child_name
from airssys.wasm.actors.share import Share
from airssys.wasm.actors.site import Site
from airssys.wasm.actors.snapshots import Snapshots

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from airssys.rt import Reason, SupervisorRef
    from airssys.wasm.actors.exchange import Exchange
    from airssys.wasm.actors.hooks import Hooks
    from airssys.wasm.actors.make import Make
    from airssys.wasm.actors.place import Place
    from airssys.wasm.actors.records import ActorRecords
    from airssys.wasm.actors.ref import ComponentRef

__all__ = ["Fleet"]

_log: Final = logging.getLogger("airssys.wasm")

#: Actors of a deployment that are moved together: each has two instances meanwhile.
_AT_ONCE: Final = 256


class Fleet:
    """The actors of one deployment.

    They are children of one supervisor, `/deployments/<name with dots>`, which gives up by the
    deployment's own intensity, so that no deployment takes another one down.

    Args:
        exchange: The way to the message plane.
        name: The deployment.
        make: What its live revision is made of.
        records: Where keys and snapshots outlive the host; None keeps them in memory.
        on_end: Called with the reason when the supervisor has ended by itself.
    """

    def __init__(
        self,
        exchange: Exchange,
        name: str,
        make: Make,
        records: ActorRecords | None,
        on_end: Callable[[Reason], None],
    ) -> None:
        self.name = name
        self._exchange = exchange
        self._make = make
        self._records = records
        self._on_end = on_end
        self._share: Share | None = None
        self._sites: dict[str, Site] = {}
        self._supervisor: SupervisorRef | None = None
        self._closing = False

    async def open(self, parent: SupervisorRef, keys: tuple[str, ...] = ("",)) -> None:
        """Start the supervisor and the actors of these keys.

        Raises:
            SpawnFailed: One did not start; nothing of the deployment runs.
        """
        settings = self._make.settings
        spec = Supervisor(
            self.name.replace("/", "."),
            burst=settings.burst,
            period=settings.period,
            restart=TEMPORARY,
            children=[self.child(child_name(key), key) for key in keys],
        )
        self._supervisor = cast("SupervisorRef", await parent.start_child(spec))
        self._supervisor.ended().add_done_callback(self._ended)

    def _ended(self, ending: asyncio.Future[Reason]) -> None:
        if not self._closing and not ending.cancelled():
            self._on_end(ending.result())

    def site(self, key: str) -> Site:
        """Return where the actor of a key lives, living or not.

        Raises:
            InvalidActorKey: No actor can have this key.
        """
        site = self._sites.get(key)
        if site is None:
            address = address_of(self.name, key)
            site = self._sites[key] = Site(
                self._exchange, address, self._make_of(key), Snapshots(self._records)
            )
        return site

    def _make_of(self, key: str) -> Make:
        """Return what the actor of a key is made of, which has not been there before."""
        share = self._share
        return self._make if share is None or not share.has(key) else share.make

    def key_of(self, ref: Any) -> str | None:
        """Return the key of one of its actors that lives."""
        for key, site in self._sites.items():
            if site.place is not None and site.place.ref == ref:
                return key
        return None

    def revision_of(self, key: str) -> int:
        """Return the revision that the actor of a key runs."""
        return self.site(key).make.revision

    async def move_share(self, make: Make, weight: float, salt: bytes) -> float:
        """Have a share of the actors run another revision, and the others the live one.

        Those that have gone over stay there as the share grows. Each moves with its state, as the
        settings say, between two messages. If one does not start or refuses the state, all are
        where they were.

        Args:
            make: What the share is made of.
            weight: The share, 0 to 1; at least one actor where it is above 0.
            salt: Decides with the key who goes first.

        Returns:
            The share of the actors there are that it came to.

        Raises:
            HandOverRefused: The state cannot be handed over.
            BaseException: What the first that did not start raised.
        """
        before, self._share = self._share, Share(make, weight, salt)
        order = sorted(self._sites, key=self._share.place_of)
        count = min(len(order), math.ceil(weight * len(order)))
        moves = [
            (self._sites[key], self._sites[key].make, make if rank < count else self._make)
            for rank, key in enumerate(order)
        ]
        moves = [move for move in moves if move[1] is not move[2]]
        done: list[tuple[Site, Make, Make]] = []
        try:
            for first in range(0, len(moves), _AT_ONCE):
                batch = moves[first : first + _AT_ONCE]
                for target in (make, self._make):
                    some = [site for site, _, wanted in batch if wanted is target]
                    await self._move(some, target)
                done += batch
        except BaseException:
            self._share = before
            for site, had, _ in reversed(done):
                await self._move([site], had, undo=True)
            raise
        return count / len(order) if order else weight

    def end_share(self, *, promote: bool) -> None:
        """Forget the share, which is all of the actors, or none of them, by now."""
        if promote and self._share is not None:
            self._make = self._share.make
        self._share = None

    def child(self, name: str, key: str, **options: Any) -> ComponentChild:
        """Return a specification of the actor of a key, for a supervision tree."""
        return ComponentChild(name, self.site(key), **options)

    def find(self, key: str) -> ComponentRef[Any] | None:
        """Return the living actor of a key."""
        place = self.site(key).place
        return place.ref if place is not None and place.ref.alive else None

    async def start(self, key: str) -> ComponentRef[Any]:
        """Return the actor of a key, started where it is not there.

        Raises:
            SpawnFailed: It did not start.
        """
        found = self.find(key)
        if found is not None:
            return found
        if self._records is not None:
            await self._exchange.in_thread(self._records.add, self.name, key)
        assert self._supervisor is not None, "a fleet is opened before it is used"  # noqa: S101
        ref = await self._supervisor.start_child(self.child(child_name(key), key))
        return cast("ComponentRef[Any]", ref)

    def ref(self, key: str) -> ComponentRef[Any]:
        """Return the actor of a key; where it is not there it starts meanwhile.

        Its mailbox takes messages at once. If it does not start they die, and a line is logged.
        """
        found = self.find(key)
        if found is None:
            assert self._supervisor is not None, "a fleet is opened before it is used"  # noqa: S101
            spec = self.child(child_name(key), key)
            begun, starting = self._exchange.system.begin_child(self._supervisor, spec)
            found = cast("ComponentRef[Any]", begun)
            if starting is not None:
                starting.add_done_callback(self._report_start)
            if self._records is not None:
                recording = self._exchange.in_thread(self._records.add, self.name, key)
                self._exchange.system.own_task(recording)
        return found

    def _report_start(self, starting: asyncio.Future[None]) -> None:
        if not starting.cancelled() and starting.exception() is not None:
            _log.error("an actor of deployment '%s': %s", self.name, starting.exception())

    def set_hooks(self, hooks: Hooks) -> None:
        """Call other hooks from now on."""
        self._make = dataclasses.replace(self._make, hooks=hooks)
        for site in self._sites.values():
            site.make = self._make

    async def upgrade(self, make: Make) -> None:
        """Put incarnations of another revision in the place of all that live.

        Mailboxes and what is queued stay, and the state is handed over as the settings say. The new
        ones are made beside the old ones and take over together, so many at a time. If one does not
        start or refuses the state, the old ones go on as if nothing had been; those of a share that
        had taken over before go back to what they left.

        Raises:
            HandOverRefused: The state cannot be handed over.
            BaseException: What the first that did not start raised.
        """
        before, self._make = self._make, make
        sites = list(self._sites.values())
        moved: list[list[Site]] = []
        try:
            for first in range(0, len(sites), _AT_ONCE):
                share = sites[first : first + _AT_ONCE]
                await self._move(share, make)
                moved.append(share)
        except BaseException:
            self._make = before
            for share in reversed(moved):
                await self._move(share, before, undo=True)
            raise

    async def restore(self, make: Make) -> None:
        """Go back to a revision that was live before, and to the state that it left."""
        self._make = make
        sites = list(self._sites.values())
        for first in range(0, len(sites), _AT_ONCE):
            await self._move(sites[first : first + _AT_ONCE], make, undo=True)

    async def _move(self, sites: list[Site], make: Make, *, undo: bool = False) -> None:
        ready: list[Place] = []
        try:
            for site in sites:
                place = site.place
                if place is not None and place.ref.alive and place.can_make_room:
                    await place.prepare(make, undo=undo)
                    ready.append(place)
        except BaseException:
            for place in ready:
                await place.stay()
            raise
        for site in sites:
            if site.place in ready:
                await site.place.take_over(make)
            else:
                site.upgrade(make)  # one that is between two incarnations comes back as this

    async def close(self) -> None:
        """Stop all actors in order, with what they do at their end."""
        self._closing = True
        if self._supervisor is not None and self._supervisor.alive:
            await self._supervisor.stop()
        for site in self._sites.values():  # those that live in other trees
            if site.place is not None and site.place.ref.alive:
                await site.place.ref.stop()

    @property
    def places(self) -> list[Any]:
        """Those that live."""
        return [
            site.place
            for site in self._sites.values()
            if site.place is not None and site.place.ref.alive
        ]
