"""The message plane without Python, by `plane_speed`, an example of the native crate."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.row import Row
from benchmarks.wasm.guests import guest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
FLOOR = "tokio mpsc"


def rows() -> Iterator[Row]:
    """Build and run it; nothing where there is no cargo, as beside an installed wheel."""
    guest("plane-relay")
    if shutil.which("cargo") is None:
        return
    command = ["cargo", "run", "--quiet", "--release", "-p", "airssys-host"]
    done = subprocess.run(
        [*command, "--example", "plane_speed"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = {}
    for line in done.stdout.splitlines():
        row = json.loads(line)
        if "value" in row:
            found[row["row"]] = max(row["value"], found.get(row["row"], 0.0))
    floor = found["floor: tokio mpsc, 64 bytes, 1 thread"]
    yield Row(
        key="actors/plane-messages",
        what="component to component, a ring of 100, one thread",
        measured=found["component to component, ring of 100, 100 tokens, 64 bytes, 1 thread"],
        unit="/s",
        better="higher",
        peer=FLOOR,
        peer_measured=floor,
        budget=1.2e6,
    )
    for quantile, budget in (("p50", 2e-6), ("p99", 15e-6)):
        yield Row(
            key=f"actors/plane-ask-{quantile}",
            what=f"ask from component to component, {quantile}",
            measured=found[f"ask between components, {quantile}, 1 threads"] / 1e6,
            unit="s",
            budget=budget,
        )
    yield Row(
        key="actors/plane-to-python",
        what="messages from a component out of the plane, in batches",
        measured=found["component to a port, batches of 256"],
        unit="/s",
        better="higher",
        peer=FLOOR,
        peer_measured=floor,
        budget=3e5,
    )
    yield Row(
        key="actors/plane-restart",
        what="restart of a component, drop to running, p50",
        measured=found["restart, drop to running, p50"] / 1e6,
        unit="s",
        budget=1e-4,
    )
