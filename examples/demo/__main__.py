"""The whole story in one run: serve, replace under load, take back, contain, supervise, govern.

Run it by `make demo`. It starts `airssys serve` on a temporary directory and keeps a calculator
(Rust), a greeter (Python) and a site (HTTP) under load from outside, over HTTP and by calls.
Meanwhile a good version of the calculator takes over by evidence, a bad one is found out and taken
back by itself, and the first one is gone back to at once. Beside that load an actor goes over to
its next version with its state, another crashes, requests trap and run away, and a component reads
a file while the right to it is granted and taken back. It fails when a call fails that should not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from airssys.wasm import Host
from examples.demo.actors import handed_over, supervised
from examples.demo.delivery import BUILT, bad_canary, blue_green, good_canary
from examples.demo.faults import contained
from examples.demo.load import Load
from examples.demo.rights import governed
from examples.demo.server import serving
from examples.demo.telling import calls_table, chapter, console, counted_table, fail, shown, tell


def run(directory: Path, steady: float) -> None:
    """Play the whole story in a directory.

    Args:
        directory: Empty, and left behind.
        steady: Seconds of load between the events.
    """
    began = time.perf_counter()
    chapter("airssys serve, and three components")
    with serving(directory / "state") as server:
        tell(f"process {server.process} takes HTTP requests at {server.http}")
        with Host.connect_blocking(server.control) as host:
            calculator = host.deploy(
                BUILT / "calculator.wasm", name="demo/calculator", lifetime="pooled"
            )
            host.deploy(BUILT / "greeter-python.wasm", name="demo/greeter", lifetime="pooled")
            host.deploy(BUILT / "http-hello.wasm", name="demo/site")
            tell(
                f"deployed: calculator 1.0 (Rust), greeter (Python), site (HTTP) after"
                f" {shown(time.perf_counter() - began)}"
            )
            load = Load(server)
            load.enter("steady")
            with load.running():
                time.sleep(steady)
                good_canary(load, calculator, steady)
                bad_canary(load, calculator, steady)
                blue_green(load, calculator, server, steady)
                handed_over(load, host)
                supervised(load, host)
                contained(load, host, server)
                governed(load, host, server)
            console.print(calls_table(load.phases), counted_table(host.deployments()), sep="\n")
            settled(load, calculator)
    seconds = time.perf_counter() - began
    calls = sum(phase.calls for phase in load.phases)
    console.print(f"{calls:,} calls, 0 failed but by the bad version, {seconds:.0f} s")


def settled(load: Load, calculator: Any) -> None:
    """Compare what callers saw with what the server counted."""
    failures = [failure for phase in load.phases for failure in phase.failures]
    for failure in failures[:5]:
        console.print(f"[red]failed:[/] {failure}")
    if failures:
        raise fail(f"{len(failures)} calls failed")
    trapped = sum(phase.trapped for phase in load.phases)
    counted = {each.revision: each.failures for each in calculator.statistics().revisions}
    if counted != {1: 0, 2: 0, 3: trapped}:
        raise fail(f"callers saw {trapped} failures of the bad version, the server {counted}")


def main() -> int:
    """Run the demo; 1 when any call failed, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument(
        "--steady", type=float, default=3.0, metavar="SECONDS", help="of load between the events"
    )
    steady = parser.parse_args().steady
    try:
        with tempfile.TemporaryDirectory(prefix="airssys-demo-") as directory:
            run(Path(directory), steady)
    except KeyboardInterrupt:
        console.print("demo: interrupted; nothing is left behind")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
