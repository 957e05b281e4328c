"""The deployments of a host that are actors: their system, and the way there from any thread."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from airssys.rt import NameTaken, Supervisor, System
from airssys.wasm.actors.exchange import Exchange
from airssys.wasm.actors.fleet import Fleet
from airssys.wasm.actors.logs import GuestLogs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from airssys.rt import Reason, SupervisorRef
    from airssys.wasm.actors.hooks import Hooks
    from airssys.wasm.actors.make import Make
    from airssys.wasm.actors.records import ActorRecords

__all__ = ["HostActors"]

T = TypeVar("T")

_numbers: Final = itertools.count(1)


class HostActors:
    """Runs the actors of a host's deployments in an actor system.

    The system, its message plane and, without a loop, a thread for them are made when the first
    deployment needs them.

    Args:
        system: The system to use; one of its own by default.
        loop: The loop that the host is used on; a thread of its own by default.

    Attributes:
        logs: What the guests log; set once the state directory is known.
    """

    def __init__(
        self, system: System | None = None, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self.logs: GuestLogs | None = None
        self._given = system
        self._loop = system.loop if system is not None else loop
        self._system = system
        self._exchange: Exchange | None = None
        self._top: SupervisorRef | None = None
        self._fleets: dict[str, Fleet] = {}
        self._thread: threading.Thread | None = None
        self._one_start = threading.Lock()

    def keep_logs(self, directory: Path) -> None:
        """Keep what guests log below this directory too."""
        self.logs = GuestLogs(directory)

    # From any thread but the loop's.

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop of the system and wait for its result."""
        loop = self.running_loop()
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is loop:
            coroutine.close()
            raise RuntimeError("this blocks the loop that it waits for; use the awaited form")
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    def running_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that the host is used on, or one on a thread of its own."""
        with self._one_start:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="airssys-actors", daemon=True
                )
                self._thread.start()
            return self._loop

    def open(
        self,
        name: str,
        make: Make,
        keys: tuple[str, ...],
        records: ActorRecords,
        on_end: Callable[[Reason], None],
    ) -> None:
        """Start the actors of a deployment.

        Raises:
            SpawnFailed: One did not start; nothing of the deployment runs.
        """
        self.run(self._open(name, make, keys, records, on_end))

    def upgrade(self, name: str, make: Make) -> None:
        """Put another revision's incarnations in the place of a deployment's; see `Fleet`."""
        self.run(self._fleets[name].upgrade(make))

    def set_hooks(self, name: str, hooks: Hooks) -> None:
        """Call other hooks of a deployment's actors from now on, if it has any."""
        fleet = self._fleets.get(name)
        if fleet is not None:
            fleet.set_hooks(hooks)

    def restore(self, name: str, make: Make) -> None:
        """Go back to what a deployment's actors ran before an upgrade, and to its state."""
        self.run(self._fleets[name].restore(make))

    def close_fleet(self, name: str) -> None:
        """Stop the actors of a deployment, if it has any."""
        fleet = self._fleets.pop(name, None)
        if fleet is not None:
            self.run(fleet.close())

    def close(self) -> None:
        """Stop everything, in order; a system that was given goes on without it."""
        if self._exchange is not None:
            self.run(self._close())
        if self.logs is not None:
            self.logs.close()
        loop, thread = self._loop, self._thread
        if thread is not None and loop is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
            self._thread = None

    # On the loop.

    @property
    def system(self) -> System:
        """The actor system; made on first use, on the loop's thread."""
        if self._system is None:
            self._system = System(f"host-{next(_numbers)}")
        return self._system

    @property
    def exchange(self) -> Exchange:
        """The way to the message plane; made on first use, on the loop's thread."""
        if self._exchange is None:
            self._exchange = Exchange(self.system, self.logs)
        return self._exchange

    def fleet(self, name: str) -> Fleet | None:
        """Return the actors of a deployment; None where it has none."""
        return self._fleets.get(name)

    async def _open(
        self,
        name: str,
        make: Make,
        keys: tuple[str, ...],
        records: ActorRecords,
        on_end: Callable[[Reason], None],
    ) -> None:
        def ended(reason: Reason) -> None:
            self._fleets.pop(name, None)
            on_end(reason)

        fleet = Fleet(self.exchange, name, make, records, ended)
        await fleet.open(await self._supervisor(), keys)
        self._fleets[name] = fleet

    async def _supervisor(self) -> SupervisorRef:
        if self._top is None:
            for number in itertools.count(1):
                chosen = "deployments" if number == 1 else f"deployments-{number}"
                with contextlib.suppress(NameTaken):
                    self._top = await self.system.start(Supervisor(chosen))
                    break
        return cast("SupervisorRef", self._top)

    async def _close(self) -> None:
        for fleet in reversed(list(self._fleets.values())):
            await fleet.close()
        self._fleets.clear()
        if self._top is not None:
            await self._top.stop()
        if self._given is None and self._system is not None:
            await self._system.shutdown()
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None
