"""A rollout of a deployment of actors: a share of them runs the new revision."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from airssys.rt import ActorFailing
from airssys.wasm.delivery.analysis import Stage
from airssys.wasm.delivery.controller import Figures
from airssys.wasm.errors import GuestExit, Trap

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.rt import System
    from airssys.wasm.actors.fleet import Fleet
    from airssys.wasm.actors.make import Make
    from airssys.wasm.delivery.records import RolloutStep
    from airssys.wasm.delivery.store import RolloutStore

__all__ = ["ActorsGround"]


class ActorsGround:
    """What a controller acts on where actors are moved, each with its state.

    The unit is the actor: it counts as bad once, however often it fails. Where those of the new
    revision trap too often, the message plane itself gives them no further message: what they are
    sent waits until they have gone back.

    Args:
        rollout: The number of the rollout.
        fleet: The actors of the deployment.
        makes: What the live revision and the new one are made of.
        salt: Decides with the key who goes first.
        most_traps: Actors of the new revision that may trap before all of them are held; None for
            any number.
        store: Where steps are recorded.
        system: The system of the actors and the controller.
        settle: Takes the loser off, in a thread; True where the new revision is the live one.
    """

    #: An actor may refuse to move, so that all have moved before an end is recorded.
    moves_first = True

    def __init__(
        self,
        rollout: int,
        fleet: Fleet,
        makes: tuple[Make, Make],
        salt: bytes,
        most_traps: int | None,
        store: RolloutStore,
        system: System,
        settle: Callable[[bool], None],
    ) -> None:
        self._rollout = rollout
        self._fleet = fleet
        self._makes = makes
        self._salt = salt
        self._store = store
        self._system = system
        self._settle = settle
        self._stages: list[Stage] = []
        self._share = 0.0
        self._began = self._handled()
        self._bad: dict[str, tuple[set[str], set[str]]] = {}
        self._counted: dict[str, tuple[int, int]] = {}
        self._poke: Callable[[], None] | None = None
        live, new = (make.statistics for make in makes)
        if most_traps is not None and live is not None and new is not None:
            new.guard(live, most_traps)

    def _handled(self) -> tuple[int, int]:
        live, new = (make.statistics for make in self._makes)
        return (
            0 if live is None else live.snapshot()["calls"],
            0 if new is None else new.snapshot()["calls"],
        )

    def stages(self) -> list[Stage]:
        """Return what was counted since this process began to."""
        return [*self._stages, self._present()]

    def _present(self) -> Stage:
        now, began = self._handled(), self._began
        bad = {}
        for signal in ("error", "trap"):
            keys = self._bad.get(signal, (set(), set()))
            before = self._counted.get(signal, (0, 0))
            bad[signal] = (len(keys[0]) - before[0], len(keys[1]) - before[1])
        calls = (now[0] - began[0], now[1] - began[1])
        return Stage(weight=self._share, calls=calls, bad=bad)

    def figures(self) -> Figures:
        """Return the times of both revisions."""
        live, new = (
            {"p50": 0.0, "p99": 0.0} if make.statistics is None else make.statistics.snapshot()
            for make in self._makes
        )
        return Figures(p50=(live["p50"], new["p50"]), p99=(live["p99"], new["p99"]))

    def watch(self, poke: Callable[[], None]) -> Callable[[], None]:
        """Call `poke` when an actor failed that had not; returns what ends it."""
        self._poke = poke
        subscription = self._system.events.subscribe(self._failed, ActorFailing)

        def end() -> None:
            subscription.cancel()
            if (new := self._makes[1].statistics) is not None:
                new.unguard()

        return end

    def stopped(self) -> bool:
        """Return whether the new revision handles nothing any more, since it trapped too often."""
        new = self._makes[1].statistics
        return new is not None and new.stopped

    def _failed(self, event: ActorFailing) -> None:
        key = self._fleet.key_of(event.ref)
        if key is None:
            return
        side = int(self._fleet.revision_of(key) == self._makes[1].revision)
        signals = ["error", "trap"] if isinstance(event.error, (Trap, GuestExit)) else ["error"]
        known = False
        for signal in signals:
            keys = self._bad.setdefault(signal, (set(), set()))
            known = any(key in of_side for of_side in keys)
            if not known:
                keys[side].add(key)
        if not known and self._poke is not None:
            self._poke()

    async def record(self, **entry: Any) -> RolloutStep:
        """Write down what the rollout is about to do."""
        return await self._system.loop.run_in_executor(
            None, functools.partial(self._store.add, self._rollout, **entry)
        )

    async def set_weight(self, weight: float) -> None:
        """Have another share of the actors run the new revision from now on."""
        if self._stages or self._share:
            self._stages.append(self._present())
        self._counted = {signal: (len(keys[0]), len(keys[1])) for signal, keys in self._bad.items()}
        self._began = self._handled()
        self._share = await self._fleet.move_share(self._makes[1], weight, self._salt)

    async def finish(self, step: RolloutStep) -> None:
        """Take the loser off, which has no actors any more."""
        promote = step.state == "promoted"
        self._fleet.end_share(promote=promote)
        await self._system.loop.run_in_executor(None, self._settle, promote)
