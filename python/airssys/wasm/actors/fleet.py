"""The actors of one deployment, one per key, under a supervisor of their own."""

# pyright: reportPrivateUsage=false
# Renewal is the runtime's, not yet anybody else's.

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from airssys.rt import TEMPORARY, Supervisor
from airssys.wasm.actors.child import ComponentChild
from airssys.wasm.actors.site import Site
from airssys.wasm.actors.snapshots import Snapshots

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from airssys.rt import Reason, SupervisorRef
    from airssys.wasm.actors.exchange import Exchange
    from airssys.wasm.actors.hooks import Hooks
    from airssys.wasm.actors.make import Make
    from airssys.wasm.actors.records import ActorRecords
    from airssys.wasm.actors.ref import ComponentRef

__all__ = ["Fleet"]

_log: Final = logging.getLogger("airssys.wasm")


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
            children=[self.child(_child_name(key), key) for key in keys],
        )
        self._supervisor = cast("SupervisorRef", await parent.start_child(spec))
        self._supervisor.ended().add_done_callback(self._ended)

    def _ended(self, ending: asyncio.Future[Reason]) -> None:
        if not self._closing and not ending.cancelled():
            self._on_end(ending.result())

    def site(self, key: str) -> Site:
        """Return where the actor of a key lives, living or not."""
        site = self._sites.get(key)
        if site is None:
            address = f"{self.name}#{key}" if key else self.name
            site = self._sites[key] = Site(
                self._exchange, address, self._make, Snapshots(self._records)
            )
        return site

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
        ref = await self._supervisor.start_child(self.child(_child_name(key), key))
        return cast("ComponentRef[Any]", ref)

    def ref(self, key: str) -> ComponentRef[Any]:
        """Return the actor of a key; where it is not there it starts meanwhile.

        Its mailbox takes messages at once. If it does not start they die, and a line is logged.
        """
        found = self.find(key)
        if found is None:
            assert self._supervisor is not None, "a fleet is opened before it is used"  # noqa: S101
            spec = self.child(_child_name(key), key)
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
        """Put incarnations of another revision in the place of all that live, one after the other.

        Mailboxes and what is queued stay. The state is handed over by snapshot and restore where
        the component has them. If one does not start, those before it and itself go back.

        Raises:
            BaseException: What the first that did not start raised.
        """
        before, self._make = self._make, make
        moved: list[Site] = []
        for site in self._sites.values():
            site.upgrade(make)
            moved.append(site)
            place = site.place
            if place is None or not place.ref.alive:
                continue
            lifecycle = place.cell.dispatcher.lifecycle
            try:
                await lifecycle.renew(place.cell)
            except BaseException:
                self._make = before
                for other in reversed(moved):
                    other.upgrade(before)
                await lifecycle.renew_again(place.cell)
                for other in moved[:-1]:
                    if other.place is not None and other.place.ref.alive:
                        await lifecycle.renew(other.place.cell)
                raise

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


def _child_name(key: str) -> str:
    """Return the name in the tree for a key, which may hold anything."""
    return key.replace("/", "%2F").strip() or "main"
