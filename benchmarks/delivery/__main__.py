"""Live delivery under load: switches, faulty revisions, rollbacks, the errors of the test itself.

`python -m benchmarks.delivery` runs everything; `--calls`, `--switches`, `--rollouts` and
`--rounds` make it smaller. It ends with 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.delivery.alarms import detection, false_alarms
from benchmarks.delivery.faults import FAULTS, caught
from benchmarks.delivery.rollbacks import beside_a_server, without_a_server
from benchmarks.delivery.switches import STRATEGIES, switched


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--switches", type=int, default=100)
    parser.add_argument("--rollouts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    good = []
    for kind in STRATEGIES:
        found = switched(kind, given.switches, given.calls)
        good.append(found.kept)
        steady, during = found.steady * 1e6, found.during * 1e6
        print(
            f"{kind:<12}{found.calls:>10} calls {found.switches:>5} switches"
            f" {found.failed:>4} failed {found.wrong:>4} wrong,"
            f" p99 {steady:.1f} us, {during:.1f} us while it is switched,"
            f" a deploy {found.deploy * 1e3:.1f} ms, {found.seconds:.1f} s",
            flush=True,
        )
    print()
    for fault in FAULTS:
        found = caught(fault)
        good.append(found.kept)
        print(
            f"{fault:<36}{found.state:<12}{found.its:>8} of its calls, {found.failed:>4} failed"
            f" of {found.calls} ({found.share:.4%})\n    {found.why}",
            flush=True,
        )
    print()
    for rollbacks in (beside_a_server, without_a_server):
        where = rollbacks.__name__.replace("_", " ")
        for state, took in rollbacks(given.rounds).items():
            good.append(took.seconds < 1)
            print(
                f"airssys rollback {where}, {state.replace('_', ' '):<28}{took.seconds:>8.3f} s,"
                f" {took.processor:.3f} s of processor time",
                flush=True,
            )
    print()
    false, most = false_alarms(given.rollouts)
    good.append(false <= most)
    print(f"{given.rollouts} healthy canaries at alpha 0.01: {false} taken back, at most {most}")
    good.append(detection())
    print("\nkept" if all(good) else "\nBROKEN")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
