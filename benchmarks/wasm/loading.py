"""What loading costs: compiled anew, and from the cache of compiled code."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wasmtime import component

from airssys.wasm import Engine
from benchmarks.row import Row
from benchmarks.wasm.guests import guest
from benchmarks.wasm.peer import NAME, Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MILLISECOND = 1e-3


def rows(seconds: float) -> Iterator[Row]:
    """Measure a Rust guest of about 100 KB and a Python guest of 18 MB."""
    quick = seconds < 1
    small, large = guest("faults"), guest("greeter-python")
    yield from _loaded("rust", small, "Rust component of 84 KB", 60, 2, rounds=2 if quick else 5)
    yield from _loaded("python", large, "Python component of 18 MB", 8000, 20, rounds=1)
    yield _another(large, guest("keeper-python"))


def _another(first: Path, other: Path) -> Row:
    """Measure a component whose libraries are those of one that was loaded before."""
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch)
        _load(cache, first)
        anew = _timed(partial(_load, cache, other))
    return Row(
        "wasm/load-python-other", "load another Python component, compiled anew", anew, "s",
        note="the interpreter, which they have in common, is compiled once",
    )  # fmt: skip


def _loaded(
    key: str, path: Path, what: str, cold_budget: float, warm_budget: float, *, rounds: int
) -> Iterator[Row]:
    cold, warm = float("inf"), float("inf")
    peer_cold, peer_warm = float("inf"), float("inf")
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            cache = Path(scratch) / str(number)
            cold = min(cold, _timed(partial(_load, cache, path)))
            started = time.perf_counter()
            peer = Peer(path)
            peer_cold = min(peer_cold, time.perf_counter() - started)
            artefact = Path(scratch) / f"{number}.cwasm"
            artefact.write_bytes(peer.component.serialize())
            for _ in range(5):
                warm = min(warm, _timed(partial(_load, cache, path)))
                mapped = partial(component.Component.deserialize_file, peer.engine, str(artefact))
                peer_warm = min(peer_warm, _timed(mapped))
    yield Row(
        f"wasm/load-{key}-cold", f"load {what}, compiled anew", cold, "s",
        peer=NAME, peer_measured=peer_cold, budget=cold_budget * MILLISECOND,
    )  # fmt: skip
    yield Row(
        f"wasm/load-{key}-cached", f"load {what}, from the cache", warm, "s",
        peer=NAME, peer_measured=peer_warm, budget=warm_budget * MILLISECOND,
        note="ours authenticates component and artefact; the peer maps the file as it is",
    )  # fmt: skip


def _load(cache: Path, path: Path) -> None:
    Engine(cache=cache).load(path)


def _timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
