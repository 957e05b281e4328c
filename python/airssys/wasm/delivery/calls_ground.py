"""A rollout of a deployment that takes calls: the route gives each to one of two revisions."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from airssys.wasm._native import ShortTurns
from airssys.wasm.delivery.analysis import Stage
from airssys.wasm.delivery.controller import Figures

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from airssys.wasm._native import _core
    from airssys.wasm.delivery.records import RolloutStep
    from airssys.wasm.delivery.store import RolloutStore
    from airssys.wasm.serving import Trial

__all__ = ["CallsGround"]


class CallsGround:
    """What a controller acts on where calls are split.

    Args:
        rollout: The number of the rollout.
        trial: The trial of the deployment, which has begun.
        split: The split of its route.
        store: Where steps are recorded.
        loop: The loop of the controller.
        settle: Takes the loser off, in a thread; True where the new revision is the live one.
    """

    #: Calls move with the weight, so that nothing has to move before a promotion is recorded.
    moves_first = False

    def __init__(
        self,
        rollout: int,
        trial: Trial,
        split: _core.Trial,
        store: RolloutStore,
        loop: asyncio.AbstractEventLoop,
        settle: Callable[[bool], None],
    ) -> None:
        self._rollout = rollout
        self._split = split
        self._store = store
        self._loop = loop
        self._settle = settle
        self._statistics = trial.statistics
        self._poke: Callable[[], None] | None = None
        self._watched: int | None = None

    def stages(self) -> list[Stage]:
        """Return what was counted since this process began to."""
        # Watched again before the counts are read, so that nothing between is missed.
        self._watch_again()
        return [
            Stage(weight=each.weight, calls=each.calls, bad=dict(each.bad))
            for each in self._split.stages()
        ]

    def figures(self) -> Figures:
        """Return the times of both revisions."""
        live, new = (each.snapshot() for each in self._statistics)
        return Figures(
            p50=(live["p50"], new["p50"]),
            p99=(live["p99"], new["p99"]),
            copies=self._split.copied,
        )

    def watch(self, poke: Callable[[], None]) -> Callable[[], None]:
        """Call `poke` on the loop when a call of the new revision was bad; returns what ends it."""
        self._poke = poke
        self._watch_again()
        return self._unwatch

    def _watch_again(self) -> None:
        if self._poke is not None and self._watched is None:
            self._watched = self._split.watch()
            self._loop.add_reader(self._watched, self._rang)

    def _rang(self) -> None:
        # Readable until somebody looks: once is enough.
        if self._watched is not None:
            self._loop.remove_reader(self._watched)
            self._watched = None
        if self._poke is not None:
            self._poke()

    def _unwatch(self) -> None:
        self._poke = None
        if self._watched is not None:
            self._loop.remove_reader(self._watched)
            self._watched = None

    def stopped(self) -> bool:
        """Return whether the new revision takes no call any more, since it trapped too often."""
        return self._split.stopped

    async def record(self, **entry: Any) -> RolloutStep:
        """Write down what the rollout is about to do."""
        with ShortTurns():  # every step of writing waits for the interpreter
            return await self._loop.run_in_executor(
                None, functools.partial(self._store.add, self._rollout, **entry)
            )

    async def set_weight(self, weight: float) -> None:
        """Let the new revision have another share from now on."""
        self._split.set_weight(weight)

    async def finish(self, step: RolloutStep) -> None:
        """Take the loser off."""
        with ShortTurns():
            await self._loop.run_in_executor(None, self._settle, step.state == "promoted")
