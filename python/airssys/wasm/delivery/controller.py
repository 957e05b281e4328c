"""The actor that moves a deployment from one revision to another, step by step."""

from __future__ import annotations

import dataclasses
import inspect
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from airssys.errors import AirsSysError
from airssys.rt import Actor, Ask, Refuse, Tell, handles
from airssys.wasm.delivery.errors import RolloutOver
from airssys.wasm.delivery.judging import Analysis, judge
from airssys.wasm.delivery.records import RolloutChanged, RolloutStatus
from airssys.wasm.delivery.strategies import (
    Bounds,
    Canary,
    Rolling,
    Shadow,
    kind_of,
    weights_of,
)
from airssys.wasm.host_errors import StateDirectoryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.rt import Reason
    from airssys.wasm.delivery.analysis import Stage
    from airssys.wasm.delivery.judging import Judgement
    from airssys.wasm.delivery.records import RolloutState, RolloutStep, StepKind
    from airssys.wasm.delivery.store import OpenRollout

__all__ = ["Command", "Figures", "GetStatus", "Ground", "Look", "RolloutController"]

_log: Final = logging.getLogger("airssys.wasm")

#: Who did what a rollout did by itself.
_HOST: Final = "host"
#: Times that a host may end in the midst of one rollout before the new revision is suspected of it.
_MOST_RECOVERIES: Final = 2
#: Bad calls of both revisions that a comparison with the past needs.
_PAST_LEAST: Final = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The times of the live revision and of the new one.

    Attributes:
        p50: Seconds that half of the calls did not exceed.
        p99: Seconds that 99 in 100 did not exceed.
        copies: Calls whose copies were compared, and that were left out; None where none are made.
    """

    p50: tuple[float, float] = (0.0, 0.0)
    p99: tuple[float, float] = (0.0, 0.0)
    copies: tuple[int, int] | None = None


class Ground(Protocol):
    """What a controller acts on: the calls or the actors of one deployment, and the record.

    Attributes:
        moves_first: Whether everything has to be on one side before an end is recorded.
    """

    moves_first: bool

    def stages(self) -> list[Stage]:
        """Return what was counted since this process began to."""
        ...

    def figures(self) -> Figures:
        """Return the times of both revisions."""
        ...

    def stopped(self) -> bool:
        """Return whether the new revision is given nothing any more, since it trapped too often."""
        ...

    def watch(self, poke: Callable[[], None]) -> Callable[[], None]:
        """Call `poke` on the loop when a call of the new revision was bad; returns what ends it."""
        ...

    async def record(self, **entry: Any) -> RolloutStep:
        """Write down what the rollout is about to do; see `RolloutStore.add`."""
        ...

    async def set_weight(self, weight: float) -> None:
        """Let the new revision have another share from now on."""
        ...

    async def finish(self, step: RolloutStep) -> None:
        """Take the loser off: the new revision is the live one where the step promotes it."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Look(Tell["RolloutController"]):
    """It is time, or something happened."""


@dataclasses.dataclass(frozen=True, slots=True)
class Over(Tell["RolloutController"]):
    """There is nothing left to look at."""


@dataclasses.dataclass(frozen=True, slots=True)
class GetStatus(Ask["RolloutController", RolloutStatus]):
    """Where is the rollout?"""


@dataclasses.dataclass(frozen=True, slots=True)
class Command(Ask["RolloutController", RolloutStatus]):
    """What a person wants done.

    Attributes:
        what: `pause`, `resume`, `promote`, `abort`, or `weight`.
        who: Who wants it.
        why: The reason.
        weight: The share that is wanted, 0 to 1.
    """

    what: str
    who: str
    why: str = ""
    weight: float = 0.0


class RolloutController(Actor):
    """Moves a deployment by a strategy, and judges the new revision at every step.

    It looks when a call of the new revision was bad and at least every second, on the clock of its
    system. Whatever it does is recorded first.

    Args:
        ground: What it acts on.
        rollout: What is on record of the rollout.
        ended: Called with the last status when the rollout is over.
    """

    def __init__(
        self, ground: Ground, rollout: OpenRollout, ended: Callable[[RolloutStatus], None]
    ) -> None:
        self._ground = ground
        self._rollout = rollout
        self._ended = ended
        strategy = rollout.strategy
        self._weights = weights_of(strategy)
        self._bounds: Bounds = strategy.bounds
        # A rolling move waits for no evidence; what is clearly worse is taken back all the same.
        self._analysis = Analysis() if isinstance(strategy, Rolling) else strategy.analysis
        self._needs_evidence = not isinstance(strategy, Rolling) and self._analysis is not None
        self._leaves_promotion = isinstance(strategy, Shadow) and strategy.then == "hold"
        self._never_back = isinstance(strategy, Canary) and strategy.security_fix
        self._judges = strategy.judges if isinstance(strategy, Canary) else ()
        last = rollout.last
        self._before = last.stages
        self._state: RolloutState = last.state
        self._step, self._weight = last.step, last.weight
        self._why, self._who = last.why, last.who
        self._judgement: Judgement | None = last.judgement
        self._counted: tuple[Stage, ...] = ()
        self._step_began = 0.0
        self._insufficient = False
        self._warm = not rollout.baseline.slow
        self._unwatch: Callable[[], None] = lambda: None
        self._finished = False

    async def started(self) -> None:
        """Begin to look, and go on where the record ends."""
        self._step_began = self.system.loop.time()
        reference = self.ref
        self._unwatch = self._ground.watch(lambda: reference.tell(Look()))
        interval = min(1.0, max(0.02, self._rollout.strategy.step_duration / 4))
        self.timers.every(interval, Look(), key="look")
        if self._rollout.last.kind == "recovered":
            if self._rollout.recoveries > _MOST_RECOVERIES:
                await self._take_back(
                    f"the host ended {self._rollout.recoveries} times during this rollout"
                )
        else:
            await self._told(self._rollout.last)

    async def stopped(self, reason: Reason) -> None:
        """Look no more. Where this failed, every call goes to the live revision again."""
        self._unwatch()
        if reason.abnormal and not self._finished:
            _log.error(
                "the rollout of '%s' failed: %s", self._rollout.deployment, reason.error or reason
            )
            await self._take_back(f"the controller of the rollout failed: {reason.error}")

    @handles
    async def status(self, _message: GetStatus) -> RolloutStatus:
        """Say where the rollout is."""
        self._judge()
        return self._status()

    @handles
    async def command(self, message: Command) -> RolloutStatus:
        """Do what a person wants done."""
        if self._finished:
            raise Refuse(_over(self._rollout))
        try:
            return await self._done(message)
        except AirsSysError as error:
            raise Refuse(error) from error

    async def _done(self, message: Command) -> RolloutStatus:
        self._judge()
        why = message.why
        match message.what:
            case "pause":
                await self._note("paused", "paused", message.who, why or "paused")
            case "resume":
                self._insufficient = False
                self._step_began = self.system.loop.time()
                weight = self._weights[self._step]
                await self._note("resumed", "running", message.who, why or "resumed", weight=weight)
                await self._ground.set_weight(self._weight)
            case "promote":
                await self._finish("promoted", message.who, why or "promoted")
            case "abort":
                await self._finish("taken-back", message.who, why or "aborted")
            case "weight":
                await self._note(
                    "weight", "paused", message.who, why or "set by hand", weight=message.weight
                )
                await self._ground.set_weight(self._weight)
            case "close":  # nothing changes but that the counts so far are kept
                await self._note("closed", self._state, message.who, why)
            case other:
                raise Refuse(ValueError(f"a rollout cannot {other}"))
        return self._status()

    @handles
    async def look(self, _message: Look) -> None:
        """Judge, and do what follows from it."""
        if self._finished:
            return
        try:
            await self._look()
        except StateDirectoryError as error:
            # Nothing has changed, on record or off; the next look tries again.
            _log.error("the rollout of '%s' waits: %s", self._rollout.deployment, error)

    @handles
    async def over(self, _message: Over) -> None:
        """End, once the rollout has."""
        self.stop()

    async def _look(self) -> None:
        if not self._warm:
            await self._warm_up()
        self._judge(wholly=self._passed() >= self._rollout.strategy.step_duration)
        if broken := self._out_of_bounds():
            await self._take_back(f"{broken} (a bound, outside the stated false-alarm rate)")
            return
        if self._judgement is not None and self._judgement.verdict == "worse":
            await self._take_back(self._judgement.why)
            return
        if self._state == "running" and (harm := self._worse_than_past()):
            await self._note("paused", "paused", _HOST, harm, weight=0.0)
            await self._ground.set_weight(0.0)
            return
        if self._state == "running" and self._judges and await self._judged_elsewhere():
            return
        if self._state == "running" or self._insufficient:
            await self._go_on()

    async def _warm_up(self) -> None:
        """Begin another stage once the new revision is warm, from which on time counts."""
        least = 0 if self._analysis is None else self._analysis.warm_up
        if sum(stage.calls[1] for stage in self._stages()) >= least:
            self._warm = True
            await self._ground.set_weight(self._weight)

    async def _go_on(self) -> None:
        """Take the next step where this one has lasted long enough and there is evidence."""
        passed = self._passed()
        if passed < self._rollout.strategy.step_duration:
            return
        verdict = self._judgement.verdict if self._judgement is not None else "open"
        if self._needs_evidence and verdict != "good":
            analysis = self._analysis
            if analysis is not None and passed >= analysis.max_wait and self._state == "running":
                # `ask` goes on only when somebody says so.
                self._insufficient = analysis.insufficient == "hold"
                why = f"not enough evidence after {passed:g} s"
                if self._judgement is not None:
                    why = f"{why}: {self._judgement.why}"
                await self._note("held", "held", _HOST, why)
            return
        if self._insufficient:
            self._insufficient = False
        if self._step + 1 < len(self._weights):
            step = self._step + 1
            why = self._judgement.why if self._judgement is not None and verdict == "good" else ""
            await self._note("step", "running", _HOST, why, step=step, weight=self._weights[step])
            self._step_began = self.system.loop.time()
            try:
                await self._ground.set_weight(self._weight)
            except (AirsSysError, OSError) as error:  # an actor that does not move
                await self._take_back(f"step {step + 1} could not be taken: {error}")
            return
        why = self._judgement.why if self._judgement is not None else "every step was taken"
        if self._leaves_promotion:
            await self._note("held", "held", _HOST, f"good: {why}; to be promoted by a person")
            return
        await self._finish("promoted", _HOST, why)

    def _passed(self) -> float:
        """Return the seconds since the present step began."""
        return self.system.loop.time() - self._step_began

    def _judge(self, *, wholly: bool = True) -> None:
        """Judge what was counted, if there is more to judge than at the last time.

        Good calls make nothing worse: they are looked at when it is asked whether it is good.
        """
        stages = self._stages()
        if self._analysis is None or stages == self._counted:
            return
        if not wholly and _bad(stages) == _bad(self._counted):
            return
        self._counted = stages
        self._judgement = judge(stages, self._analysis, len(self._rollout.baseline.slow))

    def _stages(self) -> tuple[Stage, ...]:
        """Return what was counted since the rollout began, by other processes too."""
        return (*self._before, *self._ground.stages())

    def _out_of_bounds(self) -> str | None:
        bounds, stages = self._bounds, self._stages()
        calls = sum(stage.calls[1] for stage in stages)
        traps = [stage.bad.get("trap", (0, 0)) for stage in stages]
        new_traps, live_traps = (sum(each[side] for each in traps) for side in (1, 0))
        # What the data plane has stopped is over, whatever was counted since.
        if self._ground.stopped() or (
            bounds.traps is not None
            and new_traps > bounds.traps
            and not live_traps
            and not self._rollout.baseline.traps
        ):
            return f"the new revision trapped in {new_traps} of {calls} calls, the live one has not"
        errors = sum(stage.bad.get("error", (0, 0))[1] for stage in stages)
        if bounds.error_rate is not None and errors >= 20 and errors > bounds.error_rate * calls:
            return f"{errors} of {calls} calls failed, more than {bounds.error_rate:.2%}"
        if bounds.p99 is not None and calls >= 100:
            p99 = self._ground.figures().p99[1]
            if p99 > bounds.p99:
                return f"p99 is {p99:.4g} s, the bound is {bounds.p99:g} s"
        return None

    def _worse_than_past(self) -> str | None:
        """Say what is worse for both revisions than it was before; no probability is claimed."""
        past, factor = self._rollout.baseline.failure_rate, self._bounds.past
        if past is None or factor is None:
            return None
        stages = self._stages()
        calls = sum(sum(stage.calls) for stage in stages)
        bad = sum(sum(stage.bad.get("error", (0, 0))) for stage in stages)
        if bad < _PAST_LEAST or not calls or bad / calls <= factor * max(past, 1e-4):
            return None
        return (
            f"{bad} of {calls} calls failed on both revisions together, {bad / calls:.2%};"
            f" before the rollout it was {past:.2%}"
        )

    async def _judged_elsewhere(self) -> bool:
        """Ask the further judges; returns whether one of them ended the step."""
        for each in self._judges:
            name = getattr(each, "__name__", repr(each))
            try:
                answer = each(self._status())
                if inspect.isawaitable(answer):
                    answer = await answer
            except Exception as error:  # noqa: BLE001 - a judge that fails must not decide
                await self._note("paused", "paused", _HOST, f"the judge '{name}' failed: {error!r}")
                return True
            if answer is not None:
                await self._take_back(f"the judge '{name}': {answer}")
                return True
        return False

    async def _take_back(self, why: str) -> None:
        """Take the new revision back, or hold where the live one must not be gone back to."""
        if self._state == "held" and self._ground.moves_first:
            return  # what did not move is for a person
        if not self._never_back:
            # Its users come first: a host that is killed before this is on record judges anew.
            if not self._ground.moves_first and self._stages()[-1].weight > 0.0:
                await self._ground.set_weight(0.0)
            try:
                await self._finish("taken-back", _HOST, why)
            except StateDirectoryError:
                if self._ground.moves_first:
                    await self._ground.set_weight(0.0)
                raise
        elif self._state != "held":
            await self._note(
                "held", "held", _HOST, f"{why}; held, since the rollout is a security fix"
            )

    async def _note(
        self,
        kind: StepKind,
        state: RolloutState,
        who: str,
        why: str,
        *,
        step: int | None = None,
        weight: float | None = None,
    ) -> None:
        entry = await self._ground.record(
            kind=kind,
            state=state,
            step=self._step if step is None else step,
            weight=self._weight if weight is None else weight,
            who=who,
            why=why,
            judgement=self._judgement,
            stages=self._stages(),
        )
        self._state, self._step, self._weight = state, entry.step, entry.weight
        self._who, self._why = who, why
        await self._told(entry)

    async def _finish(self, state: RolloutState, who: str, why: str) -> None:
        if self._ground.moves_first and not await self._all_moved(state, who, why):
            return
        entry = await self._ground.record(
            kind="promoted" if state == "promoted" else "taken-back",
            state=state,
            step=self._step,
            weight=1.0 if state == "promoted" else 0.0,
            who=who,
            why=why,
            judgement=self._judgement,
            stages=self._stages(),
        )
        self._finished = True
        self._state, self._weight, self._who, self._why = state, entry.weight, who, why
        status = self._status()
        try:
            await self._ground.finish(entry)
        finally:
            self._unwatch()
            await self._told(entry)
            self._ended(status)
        self.timers.cancel("look")
        self.timers.once(0, Over())  # after what is queued

    async def _all_moved(self, state: RolloutState, who: str, why: str) -> bool:
        """Have everything on the side that is to win; held where something does not move."""
        before, weight = self._weight, 1.0 if state == "promoted" else 0.0
        await self._note("weight", self._state, who, why, weight=weight)
        try:
            await self._ground.set_weight(weight)
        except (AirsSysError, OSError) as error:
            await self._note("held", "held", _HOST, f"{why}; but: {error}", weight=before)
            return False
        return True

    async def _told(self, entry: RolloutStep) -> None:
        self.system.events.publish(RolloutChanged(self.ref, entry, self._status()))

    def _status(self) -> RolloutStatus:
        rollout, stages = self._rollout, self._stages()
        figures = self._ground.figures()
        return RolloutStatus(
            rollout=rollout.id,
            deployment=rollout.deployment,
            from_revision=rollout.from_revision,
            to_revision=rollout.to_revision,
            strategy=kind_of(rollout.strategy),
            state=self._state,
            step=self._step,
            steps=self._weights,
            weight=self._weight,
            why=self._why,
            who=self._who,
            calls=(
                sum(stage.calls[0] for stage in stages),
                sum(stage.calls[1] for stage in stages),
            ),
            judgement=self._judgement,
            p50=figures.p50,
            p99=figures.p99,
            copies=figures.copies,
        )


def _bad(stages: tuple[Stage, ...]) -> list[tuple[float, dict[str, tuple[int, int]]]]:
    return [(stage.weight, stage.bad) for stage in stages if any(map(any, stage.bad.values()))]


def _over(rollout: OpenRollout) -> RolloutOver:
    return RolloutOver(
        f"the rollout of '{rollout.deployment}' to revision {rollout.to_revision} has ended",
        hint="deployment.rollout() is the one that runs, if any does",
        deployment=rollout.deployment,
    )
