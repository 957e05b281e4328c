"""Live delivery under load: switches, faulty revisions, the errors of the test itself.

`python -m benchmarks.delivery` runs everything; `--calls`, `--switches` and `--rollouts` make it
smaller. It ends with 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "integration" / "delivery"))

from delivery_guests import adder

from airssys.wasm import Analysis, BlueGreen, Bounds, Canary, Host, Recreate, Rolling
from airssys.wasm.delivery.analysis import Stage, worse

NAME = "acme/calc"
QUICK = Analysis(alpha=1e-6, min_calls=20, acceptable=0.2, warm_up=0, baseline=10**9)
STRATEGIES = {
    "blue-green": BlueGreen(),
    "canary": Canary(steps=[20, 50], step_duration=0.01, analysis=QUICK, bounds=Bounds(past=None)),
    "rolling": Rolling(shares=4, step_duration=0.005),
    "recreate": Recreate(),
}
FAULTS = {
    "traps 1 %": {"traps_every": 100},
    "traps 5 %": {"traps_every": 20},
    "slower": {"loops": 20_000_000},
    "leaks": {"grows": True},
}


class Books:
    """Calls from threads without a pause, counted."""

    def __init__(self, deployment, threads=2, most=None):
        self.deployment = deployment
        self.calls = self.failed = self.wrong = 0
        self.most = most
        self.ending = threading.Event()
        self.one_count = threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]

    def run(self):
        calls = failed = wrong = 0
        call = self.deployment.call
        while not self.ending.is_set():
            calls += 1
            try:
                wrong += call("add", calls, 1) != calls + 1
            except Exception:  # noqa: BLE001 - counted
                failed += 1
            if calls % 100 == 0:
                self.add(calls, failed, wrong)
                calls = failed = wrong = 0
        self.add(calls, failed, wrong)

    def add(self, calls, failed, wrong):
        with self.one_count:
            self.calls += calls
            self.failed += failed
            self.wrong += wrong

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.ending.set()
        for thread in self.threads:
            thread.join()


def switches(kind, strategy, count, calls):
    """So many switches under load, and so many calls at least."""
    with tempfile.TemporaryDirectory() as state, Host.open_blocking(state) as host:
        deployed = host.deploy(adder(0), name=NAME, lifetime="pooled", instances=4, keep=2)
        began = time.monotonic()
        with Books(deployed) as books:
            for version in range(1, count + 1):
                deployed.deploy(adder(version), strategy=strategy)
                while books.calls < calls * version // count:
                    time.sleep(0.001)
        seconds = time.monotonic() - began
        live = deployed.call("version")
    print(
        f"{kind:<12}{books.calls:>10} calls {count:>5} switches"
        f" {books.failed:>6} failed {books.wrong:>4} wrong {seconds:>8.1f} s",
        flush=True,
    )
    return not (books.failed or books.wrong) and live == count


def faulty(kind, behaviour):
    """A canary of a faulty revision: it is taken back, and users see little of it."""
    analysis = Analysis(alpha=0.01, min_calls=10**9, warm_up=50, baseline=500)
    strategy = Canary(
        steps=[1, 5, 25, 50],
        step_duration=600,
        analysis=analysis,
        bounds=Bounds(traps=None, past=None),
    )
    with tempfile.TemporaryDirectory() as state, Host.open_blocking(state) as host:
        deployed = host.deploy(adder(1, loops=1000), name=NAME, lifetime="pooled", instances=4)
        for number in range(1000):
            deployed.call("add", number, 1)
        with Books(deployed) as books:
            new = adder(2, **{"loops": 1000, **behaviour})
            rollout = deployed.deploy(new, strategy=strategy, wait=False)
            status = rollout.wait(300)
        share = books.failed / books.calls
        peak = max(each.memory_peak for each in deployed.statistics().revisions)
    print(
        f"{kind:<12}{status.state:<12}{status.calls[1]:>8} of its calls {books.failed:>6} failed"
        f" ({share:.4%} of all) peak {peak >> 20} MiB  {status.why}",
        flush=True,
    )
    return status.state == "taken-back" and share < 0.01


def false_alarms(rollouts):
    """Seeded healthy canaries at alpha 0.01, looked at after every fifth bad call."""
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
    print(f"healthy     {rollouts} canaries at alpha 0.01: {false} taken back, at most {most}")
    return false <= most


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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--switches", type=int, default=100)
    parser.add_argument("--rollouts", type=int, default=1000)
    given = parser.parse_args()
    good = [
        switches(kind, strategy, given.switches, given.calls)
        for kind, strategy in STRATEGIES.items()
    ]
    print()
    good += [faulty(kind, behaviour) for kind, behaviour in FAULTS.items()]
    print()
    good.append(false_alarms(given.rollouts))
    good.append(detection())
    print("\nkept" if all(good) else "\nBROKEN")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
