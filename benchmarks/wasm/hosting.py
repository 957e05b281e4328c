"""What a host costs: calls through a deployment, replacing it, and opening many."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from airssys.wasm import Host
from benchmarks.row import Row
from benchmarks.timing import interleaved
from benchmarks.wasm.guests import guest
from benchmarks.wasm.peer import NAME, Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airssys.wasm import BlockingDeployment

DEPLOYMENTS = 1_000


def rows(seconds: float) -> Iterator[Row]:
    """Measure deployments of a Rust component, its compiled code in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _calls(seconds, Path(folder) / "calls")
        yield from _changes(seconds, Path(folder) / "changes")
        yield from _opening(Path(folder) / "opening")


def _calls(seconds: float, state: Path) -> Iterator[Row]:
    peers = Peer(guest("calculator"))
    peer_instance = peers.instantiate()
    with Host.open_blocking(state) as host:
        pooled = host.deploy(guest("calculator"), name="bench/pooled", lifetime="pooled")
        fresh = host.deploy(guest("calculator"), name="bench/fresh")
        of_pooled, peer = interleaved(
            _adding(pooled), _repeat(lambda: peer_instance["add"](2, 3)), seconds=seconds
        )
        of_fresh, peer_fresh = interleaved(
            _adding(fresh), _repeat(lambda: peers.instantiate()["add"](2, 3)), seconds=seconds
        )
    yield Row(
        "wasm/deployment-pooled", "call of a deployment, pooled: route, limits, statistics",
        of_pooled, "s", peer=NAME, peer_measured=peer,
        note="the peer is a bare instance, without any of these",
    )  # fmt: skip
    yield Row(
        "wasm/deployment-fresh", "call of a deployment, an instance per call", of_fresh, "s",
        peer=NAME, peer_measured=peer_fresh, budget=6e-6,
        note="the peer makes a bare instance for each call",
    )  # fmt: skip


def _changes(seconds: float, state: Path) -> Iterator[Row]:
    first, second = guest("calculator"), guest("calculator-1-1")
    deploys: list[float] = []
    rollbacks: list[float] = []
    with Host.open_blocking(state) as host:
        deployment = host.deploy(first, name="bench/calc")
        until = time.perf_counter() + seconds
        while len(deploys) < 5 or time.perf_counter() < until:
            deploys.append(_took(lambda: deployment.deploy(second)))
            rollbacks.append(_took(deployment.rollback))
    yield Row(
        "wasm/deploy-cached", "deploy 52 KiB, compiled before: check, store durably, switch",
        _median(deploys), "s", budget=0.1,
    )  # fmt: skip
    yield Row(
        "wasm/rollback", "rollback to a kept revision, recorded durably",
        _median(rollbacks), "s", budget=0.01,
    )  # fmt: skip


def _opening(state: Path) -> Iterator[Row]:
    content = guest("calculator").read_bytes()
    with Host.open_blocking(state) as host:
        for number in range(DEPLOYMENTS):
            host.deploy(content, name=f"bench/calc{number}")
    opened: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        with Host.open_blocking(state):
            opened.append(time.perf_counter() - started)
    yield Row(
        "wasm/open-1000", f"open a host with {DEPLOYMENTS:,} deployments, cache warm",
        min(opened), "s", budget=3.0,
    )  # fmt: skip


def _adding(deployment: BlockingDeployment) -> Callable[[int], None]:
    call = deployment.call

    def turns(count: int) -> None:
        for _ in range(count):
            call("add", 2, 3)

    return turns


def _repeat(function: Callable[[], object]) -> Callable[[int], None]:
    def turns(count: int) -> None:
        for _ in range(count):
            function()

    return turns


def _took(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
