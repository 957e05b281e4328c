"""How strong the evidence is that a new revision is worse than the live one, or that it is not.

**Method.** Each call goes to the new revision with probability `w`, independently. If that revision
is no worse, a *bad* call is its with probability at most `w`, whatever the rate of bad calls is. So
only bad calls are looked at: a Bernoulli sequence whose probability is known. The likelihood ratio
is mixed over worse odds ratios `r`, uniform in the logarithm from 1.05 to 300 at 400 points::

    E = mean over r of  product of q/w          over the bad calls of the new revision
                      * product of (1-q)/(1-w)  over those of the live one
        where q = w r / (w r + 1 - w)

`E` is a nonnegative martingale that starts at 1 where the revision is equal, a supermartingale
where it is better. By Ville's inequality it ever reaches `1/alpha` with a probability of at most
`alpha`, however often it is looked at. Signals that share one `alpha` split it.

For promotion the question is turned round: the same construction against "worse by the odds ratio
that is tolerated, or by more"; or, from the good calls, against "bad at a rate that is acceptable,
or at a higher one" (without a bad call that takes about 3.5 divided by the rate; a bound that may
be looked at once only takes 3).

**Sufficient statistics.** While `w` stays the same the product depends on two counts alone, so that
calls are counted per stage and signal, and nothing is kept per call.

**Units.** The statement needs independent units: a key, or a request with its retries, counts as
one bad unit of a signal at most. Calls whose side the caller chose must not be counted.

References: Robbins, "Statistical methods related to the law of the iterated logarithm" (1970), for
mixtures; Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic statistics and safe anytime-valid
inference" (2023).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Stage", "highest_rate", "not_as_frequent", "not_as_much_worse", "worse"]

_POINTS: Final = 400
_LEAST: Final = 1.05
_MOST: Final = 300.0
#: The logarithms of the odds ratios that are mixed.
_LOG_RATIOS: Final = tuple(
    math.log(_LEAST) + math.log(_MOST / _LEAST) * point / (_POINTS - 1) for point in range(_POINTS)
)


_INVERSES: Final = tuple(math.exp(-ratio) for ratio in _LOG_RATIOS)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What was counted while one weight was in force.

    Attributes:
        weight: The probability with which a call goes to the new revision, 0 to 1.
        calls: Units that ended on the live revision, and on the new one.
        bad: Bad units by signal, in the same order.
    """

    weight: float
    calls: tuple[int, int]
    bad: dict[str, tuple[int, int]]


def worse(stages: Iterable[Stage], signal: str) -> float:
    """Return the logarithm of the evidence that the new revision is worse by a signal.

    Args:
        stages: What was counted, in any order. Stages at weight 0 or 1 say nothing.
        signal: One of the signals that were counted.

    Returns:
        ln E; reaching ln(1/alpha) is a verdict with a false-alarm probability of at most alpha.
    """
    new, spreads = _bad(stages, signal)
    return _log_mean_exp(new, spreads)


def not_as_much_worse(stages: Iterable[Stage], signal: str, tolerated: float) -> float:
    """Return the logarithm of the evidence against "worse by `tolerated` or more".

    Args:
        stages: As for `worse`.
        signal: One of the signals that were counted.
        tolerated: An odds ratio above 1.
    """
    new, spreads = _bad(stages, signal, tolerated)
    return _log_mean_exp(-new, spreads)


def not_as_frequent(bad: int, calls: int, rate: float) -> float:
    """Return the logarithm of the evidence against "bad at `rate` or more".

    Args:
        bad: Bad units of the new revision.
        calls: All its units.
        rate: Between 0 and 1.
    """
    base = math.log1p(-rate)
    lost = [base - math.log1p(-rate * inverse) for inverse in _INVERSES]
    return _log_mean_exp(-bad, [(calls - bad, lost)])


def highest_rate(bad: int, calls: int, confidence: float = 0.95) -> float:
    """Return the rate of bad units below which the truth is, with a probability of `confidence`.

    It may be looked at at any time, as the rest. 1 where nothing can be said.
    """
    limit = -math.log1p(-confidence)
    low, high = (bad / calls if calls else 1.0), 1.0 - 1e-9
    if low >= high or not_as_frequent(bad, calls, high) < limit:
        return 1.0
    low = max(low, 1e-9)
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        if not_as_frequent(bad, calls, middle) < limit:
            low = middle
        else:
            high = middle
    return high


def _bad(
    stages: Iterable[Stage], signal: str, tolerated: float | None = None
) -> tuple[int, list[tuple[int, tuple[float, ...]]]]:
    """Return the bad units of the new revision, and all of each weight with its normaliser."""
    new, per_weight = 0, dict[float, int]()
    for stage in stages:
        if not 0.0 < stage.weight < 1.0:
            continue
        of_live, of_new = stage.bad.get(signal, (0, 0))
        new += of_new
        per_weight[stage.weight] = per_weight.get(stage.weight, 0) + of_live + of_new
    return new, [
        (count, _spread(weight, tolerated)) for weight, count in per_weight.items() if count
    ]


@functools.lru_cache(maxsize=512)
def _spread(weight: float, tolerated: float | None) -> tuple[float, ...]:
    """Return, by point, what the logarithm of the ratio loses for every bad unit."""
    if tolerated is None:
        return tuple(math.log(weight * math.exp(ratio) + 1 - weight) for ratio in _LOG_RATIOS)
    base = math.log(weight * tolerated + 1 - weight)
    return tuple(
        math.log(weight * tolerated * inverse + 1 - weight) - base for inverse in _INVERSES
    )


def _log_mean_exp(new: int, spreads: Sequence[tuple[int, Sequence[float]]]) -> float:
    """Mix the likelihood ratios of all points."""
    values = [new * ratio for ratio in _LOG_RATIOS]
    for count, spread in spreads:
        values = [value - count * lost for value, lost in zip(values, spread, strict=True)]
    highest = max(values)
    # What is smaller by so much adds nothing to a float.
    small = highest - 40.0
    total = math.fsum([math.exp(value - highest) for value in values if value > small])
    return highest + math.log(total / _POINTS)
