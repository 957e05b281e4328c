"""Hold many component actors alive; what each takes.

Usage: `python -m benchmarks.actors.live COUNT` prints it as JSON, in a process of its own, so that
nothing else counts.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from airssys.errors import AirsSysError
from airssys.wasm import Host, HostCeilings
from airssys.wasm.actors import ActorSettings
from benchmarks.row import Row
from benchmarks.wasm.guests import guest
from benchmarks.wasm.live import taken

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 10_000
PAYLOAD = b"\x55x"


def rows() -> Iterator[Row]:
    """Measure in another process."""
    command = [sys.executable, "-m", "benchmarks.actors.live", str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    yield Row(
        key="actors/live",
        what=f"live component actors, of {COUNT:,} asked for",
        measured=found["live"],
        unit="",
        better="higher",
        budget=COUNT,
        note=found["failure"],
    )
    yield Row(
        key="actors/memory",
        what="memory of a live component actor that was asked once",
        measured=found["set"],
        unit="B",
        budget=32 * 1024,
        note=f"and {found['tables'] / 1024:.1f} KiB of page tables",
    )


async def main(count: int) -> None:
    """Start the actors, ask each once, and print what each takes and how many live."""
    failure = ""
    with tempfile.TemporaryDirectory() as state:
        # What each may touch is far more than what it does: the default ceiling is for that.
        async with Host.open(state, ceilings=HostCeilings(memory=1 << 50)) as host:
            deployment = await host.deploy(
                guest("actor-echo"), name="bench/echo", lifetime="actor", actor=ActorSettings()
            )
            first = await deployment.start()
            await first.ask(PAYLOAD, 5.0)
            set_before, tables_before = taken()
            live = 0
            try:
                for number in range(count):
                    ref = await deployment.start(str(number))
                    await ref.ask(PAYLOAD, 5.0)
                    live += 1
            except AirsSysError as refused:
                failure = str(refused)
            set_after, tables_after = taken()
            each = {
                "set": (set_after - set_before) / max(1, live),
                "tables": (tables_after - tables_before) / max(1, live),
            }
            print(json.dumps({"live": live, "failure": failure} | each))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
