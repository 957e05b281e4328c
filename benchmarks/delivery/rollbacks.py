"""How long `airssys rollback` takes from every state, the start of its process included."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from airssys.wasm import Host
from benchmarks.delivery.guests import STATES, starter

_AIRSSYS = (sys.executable, "-c", "from airssys.cli import main; main()")


def rollbacks(rounds):
    """Return the median of the seconds from each state, by its name."""
    found = {state.__name__: [] for state in STATES}
    with tempfile.TemporaryDirectory() as directory:
        start, stop = starter(Path(directory))
        try:
            served = start(Path(directory) / "state")
            with Host.connect_blocking(served.address) as host:
                for number in range(rounds):
                    for state in STATES:
                        name = f"bench/{state.__name__.replace('_', '-')}-{number}"
                        options, expected = state(host, name)
                        command = [*_AIRSSYS, "rollback", name, *options]
                        began = time.perf_counter()
                        subprocess.run(
                            command,
                            check=True,
                            capture_output=True,
                            env={**os.environ, "AIRSSYS_STATE": str(served.state)},
                        )
                        found[state.__name__].append(time.perf_counter() - began)
                        live = host.deployment(name).revision.number
                        if live != expected:
                            raise RuntimeError(f"{name} is at revision {live}, not {expected}")
        finally:
            stop()
    return {state: statistics.median(seconds) for state, seconds in found.items()}
