"""Rollouts of a server, as its clients reach them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from airssys.wasm.remote import operations
from airssys.wasm.remote.wire import RolloutRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from airssys.wasm.delivery.records import RolloutStatus, RolloutStep
    from airssys.wasm.remote.host import ConnectedHost
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost
    from airssys.wasm.remote.request import Request
    from airssys.wasm.remote.wire import RolloutView

__all__ = ["BlockingConnectedRollout", "ConnectedRollout"]


class ConnectedRollout:
    """The last movement of a deployment of a server; as a `Rollout`."""

    __slots__ = ("_host", "_name")

    def __init__(self, host: ConnectedHost, name: str) -> None:
        self._host = host
        self._name = name

    async def status(self) -> RolloutStatus:
        """Return where it is; see `Rollout.status`."""
        view: RolloutView = await self._host.send(operations.rollout(self._name))
        return view.status

    async def wait(self) -> RolloutStatus:
        """Return its last status once it is over; see `Rollout.wait`."""
        async for _ in self.events():
            pass
        return await self.status()

    async def pause(self, *, why: str = "", who: str | None = None) -> RolloutStatus:
        """Stay at the present weight; see `Rollout.pause`."""
        return await self._do("pause", who, why)

    async def resume(self, *, why: str = "", who: str | None = None) -> RolloutStatus:
        """Go on with the present step; see `Rollout.resume`."""
        return await self._do("resume", who, why)

    async def promote(self, *, why: str = "", who: str | None = None) -> RolloutStatus:
        """Let the new revision take every call now; see `Rollout.promote`."""
        return await self._do("promote", who, why)

    async def abort(self, *, why: str = "", who: str | None = None) -> RolloutStatus:
        """Take the new revision back now; see `Rollout.abort`."""
        return await self._do("abort", who, why)

    async def set_weight(
        self, percent: float, *, why: str = "", who: str | None = None
    ) -> RolloutStatus:
        """Give the new revision this share of the calls; see `Rollout.set_weight`."""
        return await self._do("weight", who, why, percent)

    async def events(self) -> AsyncIterator[RolloutStep]:
        """Yield everything that it did and does, until it is over; see `Rollout.events`."""
        after = 0
        while True:
            view: RolloutView = await self._host.send(operations.rollout(self._name, after))
            for step in view.steps:
                after = step.sequence
                yield step
            if view.status.over:
                return

    async def _do(
        self, what: _What, who: str | None, why: str, percent: float = 0.0
    ) -> RolloutStatus:
        request = _request(self._name, what, who, why, percent)
        status: RolloutStatus = await self._host.send(request)
        return status


class BlockingConnectedRollout:
    """The last movement of a deployment of a server; as a `BlockingRollout`."""

    __slots__ = ("_host", "_name")

    def __init__(self, host: BlockingConnectedHost, name: str) -> None:
        self._host = host
        self._name = name

    def status(self) -> RolloutStatus:
        """Return where it is; see `Rollout.status`."""
        view: RolloutView = self._host.look(operations.rollout(self._name))
        return view.status

    def wait(self) -> RolloutStatus:
        """Return its last status once it is over; see `Rollout.wait`."""
        for _ in self.events():
            pass
        return self.status()

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
        after = 0
        while True:
            view: RolloutView = self._host.look(operations.rollout(self._name, after))
            for step in view.steps:
                after = step.sequence
                yield step
            if view.status.over:
                return

    def _do(self, what: _What, who: str | None, why: str, percent: float = 0.0) -> RolloutStatus:
        request = _request(self._name, what, who, why, percent)
        status: RolloutStatus = self._host.look(request)
        return status


_What = Literal["pause", "resume", "promote", "abort", "weight"]


def _request(name: str, what: _What, who: str | None, why: str, percent: float) -> Request:
    asked = RolloutRequest(what=what, who=who, why=why, percent=percent)
    return operations.command_rollout(name, asked)
