"""The gate and the log without Python, by a program of the crate, beside Cedar in the same run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.osl.cedar import cedar_decision
from benchmarks.row import Row, UnavailableError
from benchmarks.timing import interleaved

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
_COMMAND = ("cargo", "run", "--release", "--quiet", "-p", "airssys-host", "--example", "gate_speed")


def _measure() -> dict[str, float]:
    """Run the program once; its figures are the best of its rounds, in nanoseconds."""
    environment = {**os.environ, "PYO3_PYTHON": sys.executable}
    try:
        done = subprocess.run(
            [*_COMMAND, "--", "--json"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError as error:
        raise UnavailableError("cargo is not installed; make setup says where to get it") from error
    except subprocess.CalledProcessError as error:
        raise UnavailableError(f"gate_speed failed: {error.stderr[-500:]}") from error
    return {name: float(figure) for name, figure in json.loads(done.stdout).items()}


def rows(seconds: float) -> Iterator[Row]:
    """Measure around the peer: the program, Cedar, the program again."""
    first = _measure()
    exact = cedar_decision([f"/srv/data/{number}" for number in range(99)], "/srv/data/57")
    globs = cedar_decision([f"/srv/{number}/*" for number in range(99)], "/srv/x/58/a.txt")
    cedar_exact, cedar_globs = interleaved(exact, globs, seconds=seconds)
    second = _measure()
    best = {name: min(first[name], second[name]) * 1e-9 for name in first}
    yield Row(
        "osl/gate-exact",
        "gate decision, 100 rules, no wildcard",
        best["decide_exact"],
        "s",
        peer="cedarpy",
        peer_measured=cedar_exact,
        budget=100e-9,
    )
    yield Row(
        "osl/gate-globs",
        "gate decision, 100 rules with globs",
        best["decide_globs"],
        "s",
        peer="cedarpy",
        peer_measured=cedar_globs,
        budget=500e-9,
    )
    yield Row(
        "osl/gate-10000",
        "gate decision, 10,000 rules",
        best["decide_many"],
        "s",
        budget=1e-6,
        note=f"loading them takes {best['load_many'] * 1e3:.0f} ms",
    )
    yield Row(
        "osl/record",
        "audit record, group commit included",
        best["record"],
        "s",
        budget=1e-6,
        note="amortised over 100,000 records",
    )
