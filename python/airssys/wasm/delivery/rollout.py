"""A rollout, in its two forms: awaited and blocking."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from airssys.wasm.delivery.controller import Command, GetStatus
from airssys.wasm.delivery.errors import InvalidStrategy, RolloutOver
from airssys.wasm.delivery.records import OPEN_STATES, RolloutChanged, RolloutStatus
from airssys.wasm.host_inputs import user

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from airssys.wasm.delivery.desk import Running
    from airssys.wasm.delivery.records import RolloutStep
    from airssys.wasm.host_core import HostCore
    from airssys.wasm.revision import RolloutRecord

__all__ = ["BlockingRollout", "Rollout"]


class _Rollout:
    """What both forms have."""

    __slots__ = ("_core", "_name", "_record", "_running")

    def __init__(self, core: HostCore, record: RolloutRecord, name: str) -> None:
        self._core = core
        self._record = record
        self._name = name
        running = core.delivery.running(name)
        self._running = running if running is not None and running.id == record.id else None

    @property
    def id(self) -> int:
        """A number that is never reused."""
        return self._record.id

    @property
    def revision(self) -> int:
        """The revision that it leads to."""
        return self._record.to_revision

    def _over(self) -> RolloutStatus | None:
        """Return where a rollout is of which this process has no controller."""
        record = self._record
        if self._running is not None:
            return None
        return RolloutStatus(
            rollout=record.id,
            deployment=self._name,
            from_revision=record.from_revision or 0,
            to_revision=record.to_revision,
            strategy=record.strategy or "blue-green",
            state=record.state,  # type: ignore[arg-type]  # as it was recorded
            step=0,
            steps=(),
            weight=1.0 if record.state == "promoted" else 0.0,
            why=record.why,
            who=record.who,
        )

    def _needed(self) -> Running:
        self._core.check()
        if self._running is None:
            raise RolloutOver(
                f"the rollout to revision {self.revision} is over",
                hint="`airssys history NAME` or deployment.rollouts() says how it ended",
            )
        return self._running


def _command(what: str, who: str | None, why: str, percent: float = 0.0) -> Command:
    if not 0 <= percent <= 100:
        raise InvalidStrategy(f"a weight must be 0 to 100 percent, got {percent!r}")
    return Command(what, who or user(), why, percent / 100)


class Rollout(_Rollout):
    """The movement of a deployment to a revision. Made by `Deployment.deploy` with `wait=False`.

    Every method may be called at any time; what changes a rollout that is over raises
    `RolloutOver`. A command is recorded before it is done, and done when it returns.
    """

    __slots__ = ()

    async def status(self) -> RolloutStatus:
        """Return where it is, with the verdict and its evidence as of now."""
        over = self._over()
        if over is not None:
            return over
        return await self._core.delivery.ask(self._needed(), GetStatus())

    async def wait(self) -> RolloutStatus:
        """Return its last status once it is over. On cancel it goes on.

        Raises:
            HostClosed: The host was closed; the rollout goes on when it is opened again.
        """
        over = self._over()
        if over is not None:
            return over
        return await asyncio.shield(asyncio.wrap_future(self._needed().done))

    async def pause(self, *, why: str = "", who: str | None = None) -> RolloutStatus:
        """Stay at the present weight. What is clearly worse is taken back all the same."""
        return await self._do("pause", who, why)

    async def resume(self, *, why: str = "", who: str | None = None) -> RolloutStatus:
        """Go on with the present step, from its beginning."""
        return await self._do("resume", who, why)

    async def promote(self, *, why: str = "", who: str | None = None) -> RolloutStatus:
        """Let the new revision take every call now, whatever the evidence says."""
        return await self._do("promote", who, why)

    async def abort(self, *, why: str = "", who: str | None = None) -> RolloutStatus:
        """Take the new revision back now."""
        return await self._do("abort", who, why)

    async def set_weight(
        self, percent: float, *, why: str = "", who: str | None = None
    ) -> RolloutStatus:
        """Give the new revision this share of the calls and stay there until `resume`.

        Args:
            percent: 0 to 100. At 100 nothing is left to compare with.
            why: The reason, for the record.
            who: Who wants it; the user of this process by default.
        """
        return await self._do("weight", who, why, percent)

    async def events(self) -> AsyncIterator[RolloutStep]:
        """Yield everything that it did and does, as it is on record, until it is over.

        Whoever reads slowly misses nothing. Ends too when the host is closed.
        """
        core, running, last = self._core, self._running, 0
        if running is None:
            for step in await asyncio.to_thread(core.delivery.steps, self.id):
                yield step
            return
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def noticed(event: RolloutChanged) -> None:
            if event.status.rollout == self.id:
                changed.set()

        subscription = core.actors.system.events.subscribe(noticed, RolloutChanged)
        running.done.add_done_callback(lambda _: loop.call_soon_threadsafe(changed.set))
        try:
            while True:
                changed.clear()
                over = running.done.done()
                for step in await loop.run_in_executor(None, core.delivery.steps, self.id):
                    if step.sequence > last:
                        last = step.sequence
                        yield step
                        over = over or step.state not in OPEN_STATES
                if over:
                    return
                await changed.wait()
        finally:
            subscription.cancel()

    async def _do(
        self, what: str, who: str | None, why: str, percent: float = 0.0
    ) -> RolloutStatus:
        command = _command(what, who, why, percent)
        return await self._core.delivery.ask(self._needed(), command)


class BlockingRollout(_Rollout):
    """The movement of a deployment to a revision; see `Rollout`."""

    __slots__ = ()

    def status(self) -> RolloutStatus:
        """Return where it is; see `Rollout.status`."""
        over = self._over()
        return over or self._core.delivery.tell(self._needed(), GetStatus())

    def wait(self, timeout: float | None = None) -> RolloutStatus:
        """Return its last status once it is over.

        Args:
            timeout: Seconds to wait at most; without end where it is None.

        Raises:
            TimeoutError: It was not over by then, and goes on.
            HostClosed: The host was closed; the rollout goes on when it is opened again.
        """
        over = self._over()
        return over or self._needed().done.result(timeout)

    def pause(self, *, why: str = "", who: str | None = None) -> RolloutStatus:
        """Stay at the present weight; see `Rollout.pause`."""
        return self._do("pause", who, why)

    def resume(self, *, why: str = "", who: str | None = None) -> RolloutStatus:
        """Go on with the present step; see `Rollout.resume`."""
        return self._do("resume", who, why)

    def promote(self, *, why: str = "", who: str | None = None) -> RolloutStatus:
        """Let the new revision take every call now; see `Rollout.promote`."""
        return self._do("promote", who, why)

    def abort(self, *, why: str = "", who: str | None = None) -> RolloutStatus:
        """Take the new revision back now; see `Rollout.abort`."""
        return self._do("abort", who, why)

    def set_weight(self, percent: float, *, why: str = "", who: str | None = None) -> RolloutStatus:
        """Give the new revision this share of the calls; see `Rollout.set_weight`."""
        return self._do("weight", who, why, percent)

    def events(self) -> Iterator[RolloutStep]:
        """Yield everything that it did and does, until it is over; see `Rollout.events`."""
        changed = threading.Event()

        def noticed(event: RolloutChanged) -> None:
            if event.status.rollout == self.id:
                changed.set()

        core, running, last = self._core, self._running, 0
        if running is None:
            yield from core.delivery.steps(self.id)
            return
        subscription = core.actors.system.events.subscribe(noticed, RolloutChanged)
        running.done.add_done_callback(lambda _: changed.set())
        try:
            while True:
                changed.clear()
                over = running.done.done()
                for step in core.delivery.steps(self.id):
                    if step.sequence > last:
                        last = step.sequence
                        yield step
                        over = over or step.state not in OPEN_STATES
                if over:
                    return
                changed.wait()
        finally:
            subscription.cancel()

    def _do(self, what: str, who: str | None, why: str, percent: float = 0.0) -> RolloutStatus:
        command = _command(what, who, why, percent)
        return self._core.delivery.tell(self._needed(), command)
