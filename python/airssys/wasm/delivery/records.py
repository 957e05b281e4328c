"""What is written down of a rollout, and what is told of it."""

from __future__ import annotations

import dataclasses
import datetime as dt  # noqa: TC003 - read when decoding
from typing import ClassVar, Literal, TypeAlias

from airssys.rt import Event
from airssys.wasm.delivery.analysis import Stage  # noqa: TC001 - read when decoding
from airssys.wasm.delivery.errors import RolloutTakenBack
from airssys.wasm.delivery.judging import Judgement  # noqa: TC001 - as above

__all__ = [
    "OPEN_STATES",
    "RolloutChanged",
    "RolloutState",
    "RolloutStatus",
    "RolloutStep",
    "StepKind",
    "refuse_taken_back",
]

#: `running`, `paused` by a person or a bound, `held` for a person to decide; `promoted`,
#: `taken-back` by itself or by a person.
RolloutState: TypeAlias = Literal["running", "paused", "held", "promoted", "taken-back"]
StepKind: TypeAlias = Literal[
    "step",
    "weight",
    "paused",
    "resumed",
    "held",
    "closed",
    "recovered",
    "promoted",
    "taken-back",
]

OPEN_STATES = ("running", "paused", "held")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """How the live revision was before its rollout began.

    Attributes:
        slow: Nanoseconds at the quantiles of the analysis; empty where too few calls are known.
        failure_rate: Its rate of calls without an answer; None where too few are known.
        traps: Its traps since its host was opened.
    """

    slow: tuple[int, ...] = ()
    failure_rate: float | None = None
    traps: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStep:
    """One thing that a rollout did, written down before it did it.

    Attributes:
        sequence: 1 for the first of its rollout.
        at: When, in UTC.
        kind: `step` to a weight, `weight` set by hand, `paused`, `resumed`, `held`, `closed` with
            its host, `recovered` when that was opened again, `promoted`, `taken-back`.
        state: Of the rollout from then on.
        step: Which of the strategy's steps, from 0.
        weight: The share of the new revision from then on, 0 to 1.
        who: Who asked for it; `host` where the rollout did it by itself.
        why: The reason.
        judgement: The verdict at that moment and its evidence, or None.
        stages: What had been counted until then.
    """

    sequence: int
    at: dt.datetime
    kind: StepKind
    state: RolloutState
    step: int
    weight: float
    who: str
    why: str
    judgement: Judgement | None = None
    stages: tuple[Stage, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStatus:
    """Where a rollout is.

    Attributes:
        rollout: A number that is never reused.
        deployment: What is moved.
        from_revision: The live revision, that it is compared with.
        to_revision: The new one.
        strategy: `canary`, `rolling` or `shadow`.
        state: `running`, `paused`, `held`, `promoted` or `taken-back`.
        step: Which of the steps, from 0.
        steps: The weights of all steps.
        weight: The share of the new revision now, 0 to 1; of a shadow, of the calls that are
            copied.
        why: Why it is as it is.
        who: Who had it so; `host` where the rollout did it by itself.
        calls: Units that were judged, of the live revision and of the new one.
        judgement: The verdict and its evidence now; None where nothing is judged.
        p50: Seconds that half of the calls did not exceed, of the live and the new revision.
        p99: The same of 99 in 100.
        copies: Of a shadow, the calls that were copied and compared since this process began to,
            and those that were left out; None of others.
    """

    rollout: int
    deployment: str
    from_revision: int
    to_revision: int
    strategy: str
    state: RolloutState
    step: int
    steps: tuple[float, ...]
    weight: float
    why: str
    who: str
    calls: tuple[int, int] = (0, 0)
    judgement: Judgement | None = None
    p50: tuple[float, float] = (0.0, 0.0)
    p99: tuple[float, float] = (0.0, 0.0)
    copies: tuple[int, int] | None = None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state not in OPEN_STATES


def refuse_taken_back(status: RolloutStatus) -> None:
    """Raise what says why a revision was taken back, if it was."""
    if status.state != "promoted":
        raise RolloutTakenBack(
            f"revision {status.to_revision} of '{status.deployment}' was taken back: {status.why}",
            hint=f"revision {status.from_revision} is live",
            deployment=status.deployment,
            revision=status.to_revision,
            rollout=status.rollout,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class RolloutChanged(Event):
    """A rollout did something; in the stream of events of the host's actor system.

    Attributes:
        step: What it did, as it is on record.
        status: Where it is now.
    """

    level: ClassVar[int] = 20

    step: RolloutStep
    status: RolloutStatus
