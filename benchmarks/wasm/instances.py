"""What a fresh instance costs, with its store, WASI context and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys.wasm import Engine, Limits
from benchmarks.row import Row
from benchmarks.timing import interleaved
from benchmarks.wasm.guests import guest
from benchmarks.wasm.peer import NAME, Peer

if TYPE_CHECKING:
    from collections.abc import Iterator


def rows(seconds: float) -> Iterator[Row]:
    """Measure instantiation with one call, as a request would need it."""
    component = Engine().load(guest("calculator"))
    limits = Limits(memory="64MiB", call_timeout=2.0)
    peers = Peer(guest("calculator"))

    def ours(turns: int) -> None:
        for _ in range(turns):
            with component.instantiate(limits=limits) as instance:
                instance["add"](2, 3)

    def peer(turns: int) -> None:
        for _ in range(turns):
            peers.instantiate()["add"](2, 3)

    fresh, peer_fresh = interleaved(ours, peer, seconds=seconds)
    yield Row(
        "wasm/fresh-instance", "fresh instance, WASI, limits and one call, from Python", fresh, "s",
        peer=NAME, peer_measured=peer_fresh, budget=6e-6, ratio_budget=None,
        note="the peer sets no limits",
    )  # fmt: skip
