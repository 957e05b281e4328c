"""Measure callables side by side, so that whatever slows the machine slows all of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

Repeated = Callable[[int], object]
"""Does the measured thing so many times."""

ROUNDS = 9


def interleaved(*candidates: Repeated, seconds: float) -> list[float]:
    """Time each candidate in alternating rounds.

    Args:
        candidates: Callables that take a number of turns.
        seconds: About how long to measure in all; at least one turn of each in three rounds.

    Returns:
        Seconds per turn of each candidate, best round: other processes only ever add time.
    """
    share = seconds / len(candidates) / ROUNDS
    turns = [_turns_within(candidate, share) for candidate in candidates]
    best = [float("inf")] * len(candidates)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        deadline = time.perf_counter() + 2 * seconds
        for number in range(ROUNDS):
            for index, candidate in enumerate(candidates):
                best[index] = min(best[index], _timed(candidate, turns[index]) / turns[index])
            if number >= 2 and time.perf_counter() > deadline:
                break
    finally:
        if collecting:
            gc.enable()
    return best


def _turns_within(candidate: Repeated, seconds: float) -> int:
    """Find how many turns fill a round; warms up on the way."""
    turns = 1
    while True:
        taken = _timed(candidate, turns)
        if taken >= seconds / 2:
            return max(1, int(turns * seconds / taken))
        turns *= 2 if taken == 0 else max(2, min(100, int(seconds / taken)))


def _timed(candidate: Repeated, turns: int) -> float:
    started = time.perf_counter()
    candidate(turns)
    return time.perf_counter() - started
