"""The test by simulation: how often its alarms are false, and how soon it finds what is worse."""

from __future__ import annotations

import math
import random
import statistics

from airssys.wasm.delivery.analysis import Stage, worse


def false_alarms(rollouts):
    """Take seeded healthy canaries at alpha 0.01, and look at them after every fifth bad call.

    Returns how many are taken back, and how many may be.
    """
    limit = math.log(100)
    rng = random.Random(1)
    false = 0
    for _ in range(rollouts):
        stages = []
        for weight in (0.01, 0.05, 0.25, 0.5):
            live = new = 0
            alarm = False
            for _ in range(20):
                drawn = sum(rng.random() < weight for _ in range(5))
                new, live = new + drawn, live + 5 - drawn
                stage = Stage(weight=weight, calls=(0, 0), bad={"error": (live, new)})
                if worse([*stages, stage], "error") >= limit:
                    alarm = True
                    break
            stages.append(stage)
            if alarm:
                false += 1
                break
    # 99 % of the binomial at 0.01.
    most = max(1, math.ceil(rollouts * 0.01 + 2.33 * math.sqrt(rollouts * 0.0099)))
    return false, most


def detection():
    """Median calls of the new revision until the alarm, then bad calls that users saw of it."""
    rates = ((0.0005, 0.01), (0.001, 0.01), (0.001, 0.05), (0.01, 0.02), (0.01, 0.05))
    print("\nalpha   weight  " + "  ".join(f"{a:.2%} -> {b:.0%}".rjust(15) for a, b in rates))
    found_all = True
    for alpha, weight in ((0.01, 0.01), (0.01, 0.05), (0.01, 0.5), (0.001, 0.05), (0.001, 0.25)):
        limit, cells = -math.log(alpha), []
        for before, after in rates:
            odds = after / (1 - after) * (1 - before) / before
            share = weight * odds / (weight * odds + 1 - weight)
            rng, seen = random.Random(2), []
            for _ in range(40):
                live = new = 0
                while live + new < 50_000:
                    if rng.random() < share:
                        new += 1
                        stage = Stage(weight=weight, calls=(0, 0), bad={"error": (live, new)})
                        if worse([stage], "error") >= limit:
                            seen.append(new)
                            break
                    else:
                        live += 1
                else:
                    found_all = False
            bad = statistics.median(seen)
            cells.append(f"{bad / after:>8.0f}, {bad:>4.0f}".rjust(15))
        print(f"{alpha:<8}{weight:<8.0%}" + "  ".join(cells), flush=True)
    return found_all
