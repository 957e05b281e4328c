"""Live delivery under load: switches without a lost call, bad revisions, the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterator


def rows(seconds: float) -> Iterator[Row]:
    """Measure everything; a second is a million calls and 100 switches for each strategy."""
    from benchmarks.delivery import times  # noqa: PLC0415 - as below
    from benchmarks.delivery.alarms import false_alarms  # noqa: PLC0415 - listing needs none of it
    from benchmarks.delivery.faults import FAULTS, caught  # noqa: PLC0415
    from benchmarks.delivery.rollbacks import beside_a_server, without_a_server  # noqa: PLC0415
    from benchmarks.delivery.switches import STRATEGIES, switched  # noqa: PLC0415

    yield from times.rows(seconds)
    for kind in STRATEGIES:
        found = switched(kind, switches=max(2, round(100 * seconds)), calls=round(1e6 * seconds))
        yield Row(
            key=f"delivery/{kind}-failed",
            what=f"{kind}: calls failed of {found.calls:,}, in {found.switches} switches",
            measured=found.failed + found.wrong + (not found.live),
            unit="",
            budget=0,
        )
        yield Row(
            key=f"delivery/{kind}-p99",
            what=f"{kind}: p99 of calls while it is switched",
            measured=found.during,
            unit="s",
            peer="while nothing is",
            peer_measured=found.steady,
            ratio_budget=1 / 1.5,
            note="callers on two threads of the interpreter that deploys",
        )
        yield Row(
            key=f"delivery/{kind}-deploy",
            what=f"{kind}: from bytes to all calls, under load",
            measured=found.deploy,
            unit="s",
            budget=0.1 if kind in {"blue-green", "recreate"} else None,
        )
    for number, fault in enumerate(FAULTS):
        seen = caught(fault)
        if seen.state != "taken-back":
            raise RuntimeError(f"a revision that {fault} was {seen.state}: {seen.why}")
        yield Row(
            key=f"delivery/fault-{number}",
            what=f"canary that {fault}: of 1,000 calls, failed until it was taken back",
            measured=1000 * seen.share,
            unit="",
            budget=10,
            note=seen.why,
        )
    false, most = false_alarms(1000)
    yield Row(
        key="delivery/false-alarms",
        what="healthy canaries taken back, of 1,000 simulated at alpha 0.01",
        measured=false,
        unit="",
        budget=most,
    )
    rounds = max(1, round(3 * seconds))
    for where, found_times in (
        ("beside a server", beside_a_server(rounds)),
        ("without one", without_a_server(rounds)),
    ):
        slowest = max(found_times, key=lambda state: found_times[state].seconds)
        states = len(found_times)
        quickest = min(took.seconds for took in found_times.values())
        processor = max(took.processor for took in found_times.values())
        yield Row(
            key=f"delivery/rollback-command-{where.split()[0]}",
            what=f"airssys rollback {where}, process and all: the slowest of {states} states",
            measured=found_times[slowest].seconds,
            unit="s",
            budget=1.0,
            note=f"{slowest.replace('_', ' ')}; the quickest {quickest:.2f} s;"
            f" at most {processor:.2f} s of processor time",
        )
