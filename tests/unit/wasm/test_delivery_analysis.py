"""The sequential test: its false alarms, what it finds and when, what it asks for promotion."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from airssys.wasm.delivery import Analysis, InvalidStrategy, Stage, judge
from airssys.wasm.delivery.analysis import (
    highest_rate,
    not_as_frequent,
    not_as_much_worse,
    worse,
)


def bad(weight, live, new):
    return [Stage(weight=weight, calls=(live, new), bad={"error": (live, new)})]


def boundary(weight, alpha, most):
    """For each number of bad calls, how many of them must be the new revision's for an alarm."""
    limit, found, least = -math.log(alpha), [], 0
    for total in range(most + 1):
        least = max(0, least - 1)
        while least <= total and worse(bad(weight, total - least, least), "error") < limit:
            least += 1
        found.append(least)
    return found


def alarm(rng, weight, odds, limits):
    """After how many bad calls, looking after each, there is an alarm; None where there is none."""
    share = weight * odds / (weight * odds + 1 - weight)
    new = 0
    for total in range(1, len(limits)):
        new += rng.random() < share
        if new >= limits[total]:
            return total, new
    return None


@pytest.mark.parametrize("weight", [0.01, 0.05, 0.5])
def test_of_a_thousand_healthy_rollouts_at_most_eighteen_are_taken_back(weight):
    rng = random.Random(20 + int(weight * 100))
    limits = boundary(weight, 0.01, 1000)
    false = sum(alarm(rng, weight, 1.0, limits) is not None for _ in range(1000))
    assert false <= 18


def test_a_healthy_canary_with_growing_weights_is_not_taken_back():
    """Looking after every few bad calls over all stages, signals sharing one alpha."""
    rng = random.Random(7)
    analysis = Analysis(alpha=0.01)
    false = 0
    for _ in range(150):
        stages = []
        for weight in (0.01, 0.05, 0.25, 0.5):
            live = new = 0
            for _ in range(3):
                drawn = sum(rng.random() < weight for _ in range(20))
                new, live = new + drawn, live + 20 - drawn
                stage = Stage(weight=weight, calls=(live, new), bad={"error": (live, new)})
                if judge([*stages, stage], analysis).verdict == "worse":
                    false += 1
                    break
            else:
                stages.append(stage)
                continue
            break
    assert false <= 5  # 99 % of the binomial at 0.01


@pytest.mark.parametrize(
    ("weight", "before", "after", "calls"),
    [
        (0.01, 0.001, 0.05, 34),
        (0.05, 0.001, 0.01, 421),
        (0.05, 0.01, 0.05, 128),
        (0.5, 0.01, 0.05, 307),
        (0.5, 0.001, 0.05, 158),
    ],
)
def test_a_worse_revision_is_found_after_about_as_many_of_its_calls_as_simulated(
    weight, before, after, calls
):
    rng = random.Random(3)
    odds = after / (1 - after) * (1 - before) / before
    limits = boundary(weight, 0.01, 600)
    found = [alarm(rng, weight, odds, limits) for _ in range(120)]
    assert None not in found
    median = statistics.median(new / after for _, new in found)
    assert 0.5 * calls <= median <= 2 * calls


def test_evidence_does_not_depend_on_how_the_counts_are_divided_into_stages():
    whole = worse(bad(0.05, 40, 9), "error")
    parts = worse([*bad(0.05, 30, 4), *bad(0.05, 10, 5)], "error")
    assert parts == pytest.approx(whole)
    # What was counted at another weight weighs otherwise.
    assert worse([*bad(0.5, 30, 4), *bad(0.05, 10, 5)], "error") != pytest.approx(whole)


def test_no_weight_is_no_evidence():
    nothing = [*bad(0.0, 50, 3), *bad(1.0, 0, 900)]
    assert worse(nothing, "error") == pytest.approx(0.0)
    assert not_as_much_worse(nothing, "error", 2.0) == pytest.approx(0.0)


def test_a_better_revision_is_never_worse_and_soon_not_as_much_worse():
    stages = bad(0.5, 60, 2)
    assert worse(stages, "error") < 0
    assert not_as_much_worse(stages, "error", 2.0) > math.log(20)


def test_promotion_by_bad_calls_takes_a_few_hundred_of_them():
    rng = random.Random(5)
    needed = []
    for _ in range(21):
        new = total = 0
        while not_as_much_worse(bad(0.05, total - new, new), "error", 2.0) < math.log(20):
            drawn = sum(rng.random() < 0.05 for _ in range(10))
            total, new = total + 10, new + drawn
            assert total < 5000
        needed.append(total)
    assert 100 <= statistics.median(needed) <= 700


def test_good_calls_alone_bound_the_rate_whenever_one_looks():
    assert not_as_frequent(0, 250, 0.01) < math.log(20) < not_as_frequent(0, 450, 0.01)
    assert 0.003 < highest_rate(0, 1000) < 0.006
    assert highest_rate(10, 1000) > 0.01
    assert highest_rate(0, 0) == 1.0
    # 1,000 revisions that are bad at the rate: with 95 %, none is believed to be below it.
    rng = random.Random(11)
    limits = {}
    believed = 0
    for _ in range(1000):
        count = 0
        for calls in range(50, 1001, 50):
            count += sum(rng.random() < 0.05 for _ in range(50))
            key = (count, calls)
            if key not in limits:
                limits[key] = not_as_frequent(count, calls, 0.05) >= math.log(20)
            if limits[key]:
                believed += 1
                break
    assert believed <= 66  # 99 % of the binomial at 0.05


def counted(weight=0.05, calls=(9500, 500), **signals):
    signals.setdefault("error", (0, 0))
    return Stage(weight=weight, calls=calls, bad=signals)


def test_a_revision_without_bad_calls_is_good_once_there_are_enough_calls():
    few = judge([counted(calls=(5000, 400))], Analysis(min_calls=500))
    assert (few.verdict, few.why) == ("open", "400 of 500 calls")
    assert judge([counted()], Analysis(min_calls=500)).verdict == "good"


def test_a_verdict_names_the_signal_and_the_counts():
    found = judge([counted(error=(8, 9))], Analysis())
    assert found.verdict == "worse"
    assert found.why == (
        "error: 9 of 500 calls of the new revision were bad, 8 of 9500 of the live one"
    )
    assert {each.signal: each.worse >= 1 for each in found.evidence} == {
        "error": True,
        "trap": False,
    }


def test_slow_calls_are_judged_after_the_warm_up_only():
    cold = counted(calls=(2000, 100), slow0=(200, 90), slow1=(20, 80))
    warm = counted(calls=(38000, 2000), slow0=(3800, 200), slow1=(380, 20))
    analysis = Analysis(warm_up=100)
    assert judge([cold], analysis, 2).verdict == "open"
    assert judge([cold, warm], analysis, 2).verdict == "good"
    slower = counted(calls=(9500, 500), slow0=(950, 200), slow1=(95, 90))
    assert judge([cold, slower], analysis, 2).why.startswith("slow1")


def test_nothing_is_said_where_there_is_not_enough_evidence():
    # Both fail once in ten calls: no bound helps, and few bad calls compare little.
    few = counted(calls=(180, 60), error=(18, 6), weight=0.25)
    found = judge([few], Analysis(min_calls=50))
    assert found.verdict == "open"
    assert "not enough evidence" in found.why


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 0.0},
        {"alpha": 1.0},
        {"tolerated": 1.0},
        {"min_calls": -1},
        {"insufficient": "promote"},
        {"slow": (0.2,)},
        {"slow": (0.9, 1.0)},
        {"confidence": "much"},
    ],
)
def test_what_is_no_analysis_is_refused_by_name(wrong):
    with pytest.raises(InvalidStrategy, match=next(iter(wrong))):
        Analysis(**wrong)
