"""The verdict on a new revision, from what was counted of it and of the live one."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Final, Literal

from airssys.wasm.delivery.analysis import (
    Stage,
    highest_rate,
    not_as_frequent,
    not_as_much_worse,
    worse,
)
from airssys.wasm.delivery.errors import InvalidStrategy

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Analysis", "Evidence", "Judgement", "Verdict", "judge"]

Verdict = Literal["worse", "good", "open"]

#: The signal of calls that did not answer: trap, limit, timeout, failed host function, 5xx.
ERROR: Final = "error"
#: The part of them that trapped.
TRAP: Final = "trap"
#: The signal of copies that were answered otherwise than their callers.
ANSWER: Final = "answer"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """By what a new revision is judged while it takes calls.

    Attributes:
        alpha: The probability with which a revision that is no worse is taken back all the same,
            over the whole rollout and all signals together.
        tolerated: The odds ratio of bad calls that is not worth a rollback; promotion needs
            evidence that it is not reached.
        acceptable: The rate of calls without an answer that is good enough by itself; promotion
            needs evidence that it is not reached, or the evidence above.
        confidence: Of the evidence for promotion.
        min_calls: Calls that the new revision must have taken before it is promoted.
        max_wait: Seconds after which a step that found no evidence is given to a person.
        insufficient: What then happens: `hold` stays where it is and goes on by itself when there
            is evidence; `ask` stays until somebody resumes, promotes or aborts.
        slow: Quantiles of the live revision's time before the rollout; a call above one is bad of
            that signal.
        slower_by: Seconds above such a quantile that do not matter yet: a revision that takes few
            calls is always somewhat colder.
        warm_up: Calls of the new revision at the beginning that are not judged by their time.
        baseline: Calls of the live revision before the rollout without which time is not judged.

    Raises:
        InvalidStrategy: A value is out of range.
    """

    alpha: float = 0.001
    tolerated: float = 2.0
    acceptable: float = 0.01
    confidence: float = 0.95
    min_calls: int = 500
    max_wait: float = 3600.0
    insufficient: Literal["hold", "ask"] = "hold"
    slow: Sequence[float] = (0.9, 0.99)
    slower_by: float = 0.001
    warm_up: int = 100
    baseline: int = 1000

    def __post_init__(self) -> None:
        object.__setattr__(self, "slow", tuple(self.slow))
        for name, low, high in (
            ("alpha", 1e-9, 0.5),
            ("acceptable", 1e-6, 0.5),
            ("confidence", 0.5, 1 - 1e-9),
            ("tolerated", 1.01, 100.0),
            ("max_wait", 0.0, 30 * 86_400.0),
            ("slower_by", 0.0, 3600.0),
        ):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not low <= value <= high:
                raise InvalidStrategy(
                    f"{name} must be {low:g} to {high:g}, got {value!r}", field=name
                )
        for name in ("min_calls", "warm_up", "baseline"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 0 <= value <= 10**9:
                raise InvalidStrategy(f"{name} must be a count of calls, got {value!r}", field=name)
        if self.insufficient not in ("hold", "ask"):
            raise InvalidStrategy(
                f"insufficient {self.insufficient!r} is not known",
                field="insufficient",
                hint="it is 'hold' or 'ask'",
            )
        if len(self.slow) > 4 or not all(0.5 <= each < 1 for each in self.slow):
            raise InvalidStrategy(
                f"slow {self.slow!r} must be up to four quantiles of at least 0.5 and below 1",
                field="slow",
            )

    def rate(self, signal: str) -> float:
        """Return the rate of bad calls of a signal that is good enough by itself."""
        if not signal.startswith("slow"):
            return self.acceptable
        expected = 1 - self.slow[int(signal.removeprefix("slow"))]
        return min(0.9, self.tolerated * expected)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known by one signal.

    Attributes:
        signal: `error`, `trap`, or `slow0`, `slow1`, … by the quantiles of the analysis; of copies
            also `answer`.
        calls: Units that were judged, of the live revision and of the new one.
        bad: The bad ones.
        worse: How strong the evidence is that the new revision is worse; a verdict at 1.
        better: How strong it is that it is not worse than tolerated, or not bad at a rate that is
            unacceptable, whichever is stronger; sufficient at 1.
        confidence: Of `at_most`.
    """

    signal: str
    calls: tuple[int, int]
    bad: tuple[int, int]
    worse: float
    better: float
    confidence: float

    @property
    def at_most(self) -> float:
        """The rate below which that of the new revision's bad calls is, with `confidence`."""
        return highest_rate(self.bad[1], self.calls[1], self.confidence)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict and what it rests on.

    Attributes:
        verdict: `worse`, `good`, or `open` where the evidence is not sufficient.
        why: In one sentence.
        alpha: The probability of a false `worse` over the whole rollout.
        evidence: By signal.
    """

    verdict: Verdict
    why: str
    alpha: float
    evidence: tuple[Evidence, ...]


def judge(stages: Sequence[Stage], analysis: Analysis, thresholds: int = 0) -> Judgement:
    """Judge a new revision by everything that was counted since its rollout began.

    Args:
        stages: What was counted; see `Stage`.
        analysis: By what it is judged.
        thresholds: For how many of the quantiles of `analysis.slow` there is a time.
    """
    signals = [ERROR, TRAP, *(f"slow{number}" for number in range(thresholds))]
    if any(ANSWER in stage.bad for stage in stages):
        signals.append(ANSWER)
    alarm = math.log(len(signals) / analysis.alpha)
    enough = -math.log1p(-analysis.confidence)
    found = []
    for signal in signals:
        judged = _after_warm_up(stages, analysis) if signal.startswith("slow") else stages
        found.append(_evidence(judged, signal, analysis, alarm, enough))
    new = sum(stage.calls[1] for stage in stages)
    bad = max(found, key=lambda each: each.worse)
    # What trapped is an error too, so that nothing more is asked of traps.
    slowest = min((each for each in found if each.signal != TRAP), key=lambda each: each.better)
    if bad.worse >= 1:
        verdict: Verdict = "worse"
        why = (
            f"{bad.signal}: {bad.bad[1]} of {bad.calls[1]} calls of the new revision were bad,"
            f" {bad.bad[0]} of {bad.calls[0]} of the live one"
        )
    elif new < analysis.min_calls:
        verdict, why = "open", f"{new} of {analysis.min_calls} calls"
    elif slowest.better < 1:
        verdict = "open"
        why = (
            f"not enough evidence by {slowest.signal} yet: {slowest.bad[1]} of {slowest.calls[1]}"
            f" calls of the new revision were bad, {slowest.bad[0]} of {slowest.calls[0]} of the"
            " live one"
        )
    else:
        verdict = "good"
        why = f"{new} calls, no more bad ones than tolerated by any signal"
    return Judgement(verdict=verdict, why=why, alpha=analysis.alpha, evidence=tuple(found))


def _evidence(
    stages: Sequence[Stage], signal: str, analysis: Analysis, alarm: float, enough: float
) -> Evidence:
    counted = [stage.bad.get(signal, (0, 0)) for stage in stages]
    bad = (sum(each[0] for each in counted), sum(each[1] for each in counted))
    calls = (sum(stage.calls[0] for stage in stages), sum(stage.calls[1] for stage in stages))
    better = max(
        not_as_much_worse(stages, signal, analysis.tolerated),
        not_as_frequent(bad[1], calls[1], analysis.rate(signal)),
    )
    return Evidence(
        signal=signal,
        calls=calls,
        bad=bad,
        worse=max(0.0, worse(stages, signal) / alarm),
        better=max(0.0, better / enough),
        confidence=analysis.confidence,
    )


def _after_warm_up(stages: Sequence[Stage], analysis: Analysis) -> Sequence[Stage]:
    """Leave out the stages that began before the new revision was warm, for both revisions."""
    before = 0
    for number, stage in enumerate(stages):
        if before >= analysis.warm_up:
            return stages[number:]
        before += stage.calls[1]
    return ()
