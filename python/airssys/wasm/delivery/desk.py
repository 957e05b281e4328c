"""The rollouts of a host that are under way, and the way to their controllers from any thread."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import logging
import secrets
import threading
from typing import TYPE_CHECKING, Final

from airssys.errors import AirsSysError
from airssys.rt import ActorFailed, RequestDropped
from airssys.wasm.delivery.actors_ground import ActorsGround
from airssys.wasm.delivery.calls_ground import CallsGround
from airssys.wasm.delivery.controller import Command, GetStatus, RolloutController
from airssys.wasm.delivery.errors import RolloutInProgress, RolloutOver
from airssys.wasm.delivery.store import RolloutStore
from airssys.wasm.delivery.strategies import Canary, Rolling, Shadow, weights_of
from airssys.wasm.host_errors import HostClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.rt import Ref
    from airssys.wasm.actors.host_actors import HostActors
    from airssys.wasm.delivery.controller import Ground
    from airssys.wasm.delivery.records import RolloutStatus, RolloutStep
    from airssys.wasm.delivery.store import OpenRollout
    from airssys.wasm.delivery.strategies import Stepwise
    from airssys.wasm.registry import Registry
    from airssys.wasm.revision import NewRevision, Revision
    from airssys.wasm.serving import Prepared, Serving

__all__ = ["RolloutDesk", "Running"]

_log: Final = logging.getLogger("airssys.wasm")

#: Seconds that a controller may take to do what it is told; recording waits for a disk.
_PATIENCE: Final = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A rollout whose controller runs, or ran, in this process.

    Attributes:
        id: Its number.
        deployment: What is moved.
        controller: Who moves it.
        done: Its last status, once it is over.
    """

    id: int
    deployment: str
    controller: Ref[RolloutController]
    done: concurrent.futures.Future[RolloutStatus]


class RolloutDesk:
    """Begins rollouts, goes on with them after the host was opened again, and ends them.

    Methods may be called by any thread but that of the controllers' loop.

    Args:
        actors: Whose system the controllers live in.
        registry: Where rollouts are recorded.
        settle: Takes the loser of a deployment's rollout off; True where the new revision is the
            live one.
    """

    def __init__(
        self, actors: HostActors, registry: Registry, settle: Callable[[str, bool], None]
    ) -> None:
        self.store = RolloutStore(registry)
        self._actors = actors
        self._settle = settle
        self._running: dict[str, Running] = {}
        self._one_entry = threading.Lock()

    def names(self) -> list[str]:
        """Return the deployments that are being moved, by name."""
        return sorted(self._running.copy())

    def refuse_open(self, name: str) -> None:
        """Refuse to change a deployment that is being moved.

        Raises:
            RolloutInProgress: It is.
        """
        found = self.store.open(name)
        if found is not None:
            raise RolloutInProgress(name, found.to_revision)

    def begin(
        self, serving: Serving, new: NewRevision, prepared: Prepared, strategy: Stepwise
    ) -> Revision:
        """Record a new revision and its rollout, and begin it.

        The caller changes the deployment, and starts the controller with `start` after that.

        Raises:
            RolloutInProgress: Another one has not ended.
            ShadowUnsafe: Copies cannot be kept from having effects.
            StateWriteFailed: Nothing was recorded.
        """
        if isinstance(strategy, Shadow):
            serving.refuse_unsafe_copies(prepared)
        analysis = None if isinstance(strategy, Rolling) else strategy.analysis
        baseline = serving.baseline(
            () if analysis is None else analysis.slow,
            0.0 if analysis is None else analysis.slower_by,
            1000 if analysis is None else analysis.baseline,
        )
        rollout, revision = self.store.begin(
            serving.name,
            new,
            strategy,
            salt=secrets.token_bytes(16),
            baseline=baseline,
            weight=weights_of(strategy)[0],
        )
        # The record has no judges, who are not written down.
        self._split(serving, dataclasses.replace(rollout, strategy=strategy), revision, prepared)
        return revision

    def go_on(
        self, serving: Serving, rollout: OpenRollout, revision: Revision, prepared: Prepared
    ) -> None:
        """Go on with a rollout in the midst of which the host ended."""
        last = rollout.last
        entry = self.store.add(
            rollout.id,
            kind="recovered",
            state=last.state,
            step=last.step,
            weight=last.weight,
            who="host",
            why="the host was opened again",
            judgement=last.judgement,
            stages=last.stages,
        )
        recoveries = rollout.recoveries + (last.kind != "closed")
        rollout = dataclasses.replace(rollout, last=entry, recoveries=recoveries)
        self._split(serving, rollout, revision, prepared)

    def give_up(self, rollout: OpenRollout, why: str) -> None:
        """Take a rollout back that cannot go on: the revision that is live stays so."""
        self.store.add(
            rollout.id,
            kind="taken-back",
            state="taken-back",
            step=rollout.last.step,
            weight=0.0,
            who="host",
            why=why,
            judgement=rollout.last.judgement,
            stages=rollout.last.stages,
        )
        _log.error("the rollout of '%s' was taken back: %s", rollout.deployment, why)

    def _split(
        self, serving: Serving, rollout: OpenRollout, revision: Revision, prepared: Prepared
    ) -> None:
        try:
            share = rollout.last.weight
            if isinstance(rollout.strategy, Shadow):
                serving.begin_shadow(revision, prepared, share, rollout.salt, rollout.baseline)
            else:
                serving.begin_trial(
                    revision,
                    prepared,
                    share,
                    rollout.salt,
                    rollout.baseline,
                    most_traps=_most_traps(rollout),
                )
            self._actors.run(self._start(serving, rollout))
        except BaseException as error:
            self.give_up(rollout, f"it could not begin: {error}")
            serving.end_trial(promote=False)
            raise

    async def _start(self, serving: Serving, rollout: OpenRollout) -> None:
        system = self._actors.system
        name = rollout.deployment
        done: concurrent.futures.Future[RolloutStatus] = concurrent.futures.Future()

        def settle(promote: bool) -> None:
            self._settle(name, promote)

        def ended(status: RolloutStatus) -> None:
            if not done.done():
                done.set_result(status)

        ground = await self._ground(serving, rollout, settle)
        controller = await system.spawn(
            RolloutController,
            ground,
            rollout,
            ended,
            name=f"rollout-{rollout.id}",
            shutdown=_PATIENCE,
        )
        with self._one_entry:
            self._running[name] = Running(rollout.id, name, controller, done)

    async def _ground(
        self, serving: Serving, rollout: OpenRollout, settle: Callable[[bool], None]
    ) -> Ground:
        trial, system = serving.trial, self._actors.system
        assert trial is not None, "the trial was begun before"  # noqa: S101
        if trial.native is not None:
            return CallsGround(rollout.id, trial, trial.native, self.store, system.loop, settle)
        fleet, live, new = self._actors.fleet(serving.name), serving.make, trial.prepared.make
        if fleet is None or live is None or new is None:
            raise RolloutOver(f"'{serving.name}' has no actors to move", hint="deploy it at once")
        ground = ActorsGround(
            rollout.id,
            fleet,
            (live, new),
            rollout.salt,
            _most_traps(rollout),
            self.store,
            system,
            settle,
        )
        await ground.set_weight(rollout.last.weight)
        return ground

    def running(self, name: str) -> Running | None:
        """Return the last rollout of a deployment that this process moved step by step."""
        with self._one_entry:
            return self._running.get(name)

    def steps(self, rollout: int) -> tuple[RolloutStep, ...]:
        """Return everything that a rollout did, the first step first."""
        return self.store.steps(rollout)

    async def ask(self, running: Running, message: Command | GetStatus) -> RolloutStatus:
        """Ask a controller; on its loop.

        Raises:
            RolloutOver: The rollout has ended, and the message would change it.
        """
        if running.done.done() and isinstance(message, GetStatus):
            return running.done.result()
        try:
            return await running.controller.ask(message, timeout=_PATIENCE)
        except (RequestDropped, ActorFailed) as error:
            if isinstance(message, GetStatus) and running.done.done():
                return running.done.result()
            raise RolloutOver(
                f"the rollout of '{running.deployment}' is not under way any more",
                hint="`airssys history NAME` or deployment.rollouts() says how it ended",
                deployment=running.deployment,
            ) from error

    def tell(self, running: Running, message: Command | GetStatus) -> RolloutStatus:
        """Ask a controller, from any thread but that of its loop."""
        return self._actors.run(self.ask(running, message))

    def end(self, name: str, *, who: str, why: str) -> bool:
        """Take the new revision of a deployment back, if it is being moved; says whether it was."""
        running = self.running(name)
        if running is None or running.done.done():
            return False
        with contextlib.suppress(RolloutOver):
            self.tell(running, Command("abort", who, why))
        return True

    def close(self) -> None:
        """Stop the controllers where they are; rollouts go on when the host is opened again."""
        with self._one_entry:
            left = [each for each in self._running.values() if not each.done.done()]
            self._running.clear()
        for running in left:
            with contextlib.suppress(AirsSysError):
                self._actors.run(self._close(running))

    async def _close(self, running: Running) -> None:
        await running.controller.ask(Command("close", "host", "the host was closed"), _PATIENCE)
        await running.controller.stop()
        if not running.done.done():
            running.done.set_exception(
                HostClosed(
                    f"the host was closed during the rollout of '{running.deployment}'",
                    hint="it goes on when the host is opened again",
                )
            )


def _most_traps(rollout: OpenRollout) -> int | None:
    """Return after how many traps the new revision is given nothing any more, by the data plane.

    What is concluded from it is the controller's; here nobody waits for it to look.
    """
    strategy = rollout.strategy
    if isinstance(strategy, Canary) and strategy.security_fix:
        return None  # it never goes back by itself
    most = strategy.bounds.traps
    before = [stage.bad.get("trap", (0, 0)) for stage in rollout.last.stages]
    if most is None or rollout.baseline.traps or any(live for live, _ in before):
        return None
    return max(0, most - sum(new for _, new in before))
