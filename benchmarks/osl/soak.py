"""The long runs: a million decisions against the model, a hundred kills under load.

    python benchmarks/osl/soak.py [--decisions 1000000] [--kills 100] [--cedar 20000] [--seed N]
        [--guest-kills 100] [--races 3000]

Ends with exit code 1 at the first disagreement, which it prints with its seed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT / "tests" / each)
    for each in ("property/osl", "integration/osl", "integration/deputies")
]

import osl_cedar as cedar  # noqa: E402 - from the tests, which the paths above lead to
import osl_model as model  # noqa: E402
import osl_requests as world  # noqa: E402
from deputy_race import lend_nothing  # noqa: E402
from guests_killed import killed_run as guests_killed  # noqa: E402
from osl_killed import killed_run  # noqa: E402

from airssys.osl import OSL, verify_log  # noqa: E402
from airssys.osl._native import AuditLog, Gate  # noqa: E402


def decisions(count: int, seed: int) -> None:
    """Compare the native matcher with the model on `count` random requests."""
    rng = random.Random(seed)
    done = 0
    effects = dict.fromkeys(("allow", "deny", "ask"), 0)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        log = AuditLog(Path(directory) / "log", key=bytes(32))
        gate = Gate(log)
        while done < count:
            rules, ceiling = world.rules(rng), world.ceiling(rng)
            document = {"schema": 1, "ceiling": ceiling, "rules": rules}
            gate.load(json.dumps(document).encode())
            for _ in range(40):
                who = world.who(rng)
                subject = world.subject(who)
                for _ in range(5):
                    kind, access, target, arguments = request = world.request(rng)
                    expected = model.decide(rules, who, *request, ceiling=ceiling)
                    effect = gate.explain(subject, kind, access, target, arguments=arguments).effect
                    if effect != expected:
                        print(f"seed {seed}: native {effect}, model {expected}")
                        print(json.dumps({"rules": rules, "who": repr(who), "request": request}))
                        sys.exit(1)
                    effects[expected] += 1
                    done += 1
        log.close()
    print(f"{done} decisions agree ({effects}), seed {seed}, {time.monotonic() - begun:.0f} s")


def kills(count: int, seed: int) -> None:
    """Kill a program under load `count` times; each time its log must hold what it had done."""
    rng = random.Random(seed)
    begun = time.monotonic()
    total = 0
    for number in range(count):
        with tempfile.TemporaryDirectory() as directory:
            acknowledged, recorded = killed_run(Path(directory), rng.randint(1, 3000))
            with OSL(policy=Path(directory) / "policy.toml", audit=Path(directory) / "audit"):
                pass
            verify_log(Path(directory) / "audit")
        if not acknowledged <= recorded <= acknowledged + 1:
            print(f"kill {number}: {acknowledged} acknowledged, {recorded} recorded, seed {seed}")
            sys.exit(1)
        total += recorded
    print(f"{count} kills, {total} records, none missing, {time.monotonic() - begun:.0f} s")


def guest_kills(count: int, seed: int) -> None:
    """Kill a host whose guests count what they attempt; what they attempted must be on record."""
    rng = random.Random(seed)
    begun = time.monotonic()
    attempted = counted = 0
    for number in range(count):
        with tempfile.TemporaryDirectory() as directory:
            books = guests_killed(Path(directory), rng.getrandbits(32), rng.randint(1, 50_000))
            verify_log(Path(directory) / "audit")
        if not books.balanced:
            print(f"kill {number}: {books}, seed {seed}")
            sys.exit(1)
        attempted += books.attempted
        counted += books.counted
    seconds = time.monotonic() - begun
    print(
        f"{count} hosts killed, {attempted} attempts on record ({counted} counted), {seconds:.0f} s"
    )


def races(rounds: int, seed: int) -> None:
    """Let callers with and without a right ask one deputy at the same time."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        refused, written = asyncio.run(lend_nothing(Path(directory), seed, rounds))
    seconds = time.monotonic() - begun
    print(f"{rounds} races, {refused} refused, {written} written, none lent, {seconds:.0f} s")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--cedar", type=int, default=20_000)
    parser.add_argument("--guest-kills", type=int, default=100)
    parser.add_argument("--races", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    arguments = parser.parse_args()
    decisions(arguments.decisions, arguments.seed)
    if arguments.cedar:
        print(f"{cedar.compare(arguments.cedar, arguments.seed)} decisions agree with Cedar")
    kills(arguments.kills, arguments.seed)
    guest_kills(arguments.guest_kills, arguments.seed)
    races(arguments.races, arguments.seed)


if __name__ == "__main__":
    main()
