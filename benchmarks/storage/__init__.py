"""What storage costs: reads and writes of a guest, beside SQLite from Python."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from airssys.wasm import Host, StorageSettings
from benchmarks.row import Row
from benchmarks.wasm.guests import guest as built

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airssys.wasm import BlockingDeployment

__all__ = ["rows"]

_KEY = "key"
_VALUE = bytes(range(100))
_ROUNDS = 5


def rows(seconds: float) -> Iterator[Row]:
    """Measure reads and writes of 100 bytes, in a guest and in SQLite (WAL) from Python."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-storage-") as where:
        folder = Path(where)
        yield from _durable(folder, seconds)
        yield from _relaxed(folder, seconds)


def _durable(folder: Path, seconds: float) -> Iterator[Row]:
    with _guest(folder / "durable", None) as guest, _sqlite(folder, "FULL") as database:
        guest.api.set(_KEY, _VALUE, None)
        _put(database, _KEY)
        ours, peer = _best(
            lambda n: guest.api.time_gets(_KEY, n) / 1e9,
            lambda n: _timed(lambda: _get(database), n),
            seconds,
        )
        yield Row(
            key="storage/get",
            what="storage get of 100 bytes, in a guest",
            measured=ours,
            unit="s",
            better="lower",
            peer="sqlite3 from Python",
            peer_measured=peer,
            budget=5e-6,
        )
        count = max(50, int(seconds * 200))
        ours = _p99([each / 1e9 for each in guest.api.time_sets("d/", 100, count)])
        peer = _p99([_timed(lambda: _put(database, "d"), 1) for _ in range(count)])
        yield Row(
            key="storage/set-durable-p99",
            what="storage set of 100 bytes, durable, in a guest, p99",
            measured=ours,
            unit="s",
            better="lower",
            peer="sqlite3 (WAL, FULL) from Python",
            peer_measured=peer,
            budget=5e-3,
            note="both wait for one fsync",
        )


def _relaxed(folder: Path, seconds: float) -> Iterator[Row]:
    settings = StorageSettings(relaxed=0.05)
    with _guest(folder / "relaxed", settings) as guest, _sqlite(folder, "NORMAL") as database:
        ours, peer = _best(
            lambda n: sum(guest.api.time_sets("r/", 100, n)) / 1e9,
            lambda n: _timed(lambda: _put(database, "r"), n),
            seconds,
        )
        yield Row(
            key="storage/set-relaxed",
            what="storage set of 100 bytes, relaxed, in a guest",
            measured=ours,
            unit="s",
            better="lower",
            peer="sqlite3 (WAL, NORMAL) from Python",
            peer_measured=peer,
            budget=20e-6,
        )


@contextlib.contextmanager
def _guest(state: Path, storage: StorageSettings | None) -> Iterator[BlockingDeployment]:
    with Host.open_blocking(state, storage=storage) as host:
        yield host.deploy(
            built("key-value"),
            name="bench/store",
            lifetime="pooled",
            capabilities={"storage": [{"namespace": "self", "access": ["*"]}]},
            grant="requested",
        )


@contextlib.contextmanager
def _sqlite(folder: Path, synchronous: str) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(folder / f"{synchronous}.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {synchronous}")
        database.execute("CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
        yield database


def _get(database: sqlite3.Connection) -> None:
    database.execute("SELECT value FROM entries WHERE key = ?", (_KEY,)).fetchone()


def _put(database: sqlite3.Connection, key: str) -> None:
    with database:
        database.execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", (key, _VALUE))


def _timed(act: Callable[[], None], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        act()
    return time.perf_counter() - began


def _best(
    ours: Callable[[int], float], peer: Callable[[int], float], seconds: float
) -> tuple[float, float]:
    """Return seconds each, the best of alternating rounds; the first takes the time inside."""
    counts = [max(10, int(seconds / _ROUNDS / 2 / (each(100) / 100))) for each in (ours, peer)]
    found = [(ours(counts[0]) / counts[0], peer(counts[1]) / counts[1]) for _ in range(_ROUNDS)]
    return min(each[0] for each in found), min(each[1] for each in found)


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]
