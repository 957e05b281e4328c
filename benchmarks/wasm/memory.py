"""What a live instance costs in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.row import Row
from benchmarks.wasm.peer import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

KIB, MIB = 1024, 1024 * 1024


def rows() -> Iterator[Row]:
    """Measure instances of a Rust and of a Python guest, each in a process of its own."""
    many = _live("airssys", "rust", 10_000)
    peer = _live("wasmtime-py", "rust", 1_000)
    limit = Path("/proc/sys/vm/max_map_count").read_text().strip()
    yield Row(
        "wasm/live-count", "live Rust instances, of 10,000 asked for", many["live"], "",
        better="higher", budget=10_000, note=f"vm.max_map_count {limit}",
    )  # fmt: skip
    yield Row(
        "wasm/live-rust", "memory of a live Rust instance that was called", many["set"], "B",
        peer=NAME, peer_measured=peer["set"], budget=32 * KIB, note=_tables(many, peer),
    )  # fmt: skip
    ours, peers = _live("airssys", "python", 20), _live("wasmtime-py", "python", 20)
    yield Row(
        "wasm/live-python", "memory of a live Python instance that was called", ours["set"], "B",
        peer=NAME, peer_measured=peers["set"], budget=3 * MIB, note=_tables(ours, peers),
    )  # fmt: skip


def _tables(ours: dict[str, Any], peers: dict[str, Any]) -> str:
    sizes = [f"{measured['tables'] / KIB:.0f} KiB" for measured in (ours, peers)]
    return f"and {sizes[0]} of page tables; the peer {sizes[1]}"


def _live(host: str, language: str, count: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.wasm.live", host, language, str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured
