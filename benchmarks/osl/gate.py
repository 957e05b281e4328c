"""Deciding and recording from Python, beside Cedar."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airssys.osl._native import AuditLog, Gate, Subject
from airssys.osl.policy import compile_policy, parse_policy
from benchmarks.osl.cedar import cedar_decision
from benchmarks.osl.policies import policy
from benchmarks.row import Row
from benchmarks.timing import interleaved

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def rows(home: Path, seconds: float) -> Iterator[Row]:
    """Measure deciding and recording from Python, and loading many rules."""
    for count in (1, 100, 10_000):
        text = policy(count, home)
        log = AuditLog(home / f"log{count}", key=bytes(32))
        gate = Gate(log)
        loaded = native = float("inf")
        for _ in range(3):
            begun = time.perf_counter()
            description = compile_policy(*parse_policy(text))
            described = time.perf_counter()
            gate.load(description)
            ended = time.perf_counter()
            loaded = min(loaded, ended - begun)
            native = min(native, ended - described)
        if count == 10_000:
            yield Row(
                "osl/load-10000",
                "load 10,000 rules from TOML into the matcher",
                loaded,
                "s",
                budget=0.2,
                note=f"the native matcher takes {native * 1e3:.0f} ms of it",
            )
        yield from _decide(gate, count, str(home / "a"), seconds)
        log.close()


def _decide(gate: Gate, count: int, target: str, seconds: float) -> Iterator[Row]:
    alice = Subject("alice")

    def explain(turns: int) -> None:
        for _ in range(turns):
            gate.explain(alice, "filesystem", "read", target)

    def decide(turns: int) -> None:
        for _ in range(turns):
            gate.decide(alice, "filesystem", "read", target)

    if count == 100:
        cedar = cedar_decision([f"/data/{number}/*.txt" for number in range(99)], target)
        decided, explained, peer = interleaved(decide, explain, cedar, seconds=seconds)
    else:
        decided, explained = interleaved(decide, explain, seconds=seconds)
        peer = None
    yield Row(
        f"osl/decide-{count}",
        f"decide and record from Python, {count} rules",
        decided,
        "s",
        peer="cedarpy" if peer else None,
        peer_measured=peer,
        budget=2e-6,
        note=f"explaining without a record takes {explained * 1e6:.2f} us",
    )
