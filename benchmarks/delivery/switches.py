"""Many switches of one deployment while it is called."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass

from airssys.wasm import Analysis, BlueGreen, Bounds, Canary, Host, Recreate, Rolling
from benchmarks.delivery.guests import adder
from benchmarks.delivery.load import Books

#: Hardly any evidence and no false alarms: what is measured here is the switching.
_QUICK = Analysis(alpha=1e-6, min_calls=20, acceptable=0.2, warm_up=0, baseline=10**9)
STRATEGIES = {
    "blue-green": BlueGreen(),
    "canary": Canary(steps=(20, 50), step_duration=0.01, analysis=_QUICK, bounds=Bounds(past=None)),
    "rolling": Rolling(shares=4, step_duration=0.005),
    "recreate": Recreate(),
}


@dataclass(frozen=True, slots=True)
class Switched:
    """What came of it.

    Attributes:
        kind: The strategy.
        calls: That were made.
        switches: How often another revision took over.
        failed: Calls that were not answered.
        wrong: Calls that were answered wrongly.
        seconds: All of it.
        deploy: Seconds of one deploy, from bytes to live; the median.
        steady: 99 of 100 calls took less while nothing was switched.
        during: 99 of 100 calls took less while something was.
        live: Whether the last revision is live.
    """

    kind: str
    calls: int
    switches: int
    failed: int
    wrong: int
    seconds: float
    deploy: float
    steady: float
    during: float
    live: bool

    @property
    def kept(self):
        """Whether nothing was lost."""
        return self.live and not self.failed and not self.wrong


def switched(kind, switches, calls):
    """Switch so many times, under at least so many calls."""
    deploys = []
    with tempfile.TemporaryDirectory() as state, Host.open_blocking(state) as host:
        deployed = host.deploy(adder(0), name="acme/calc", lifetime="pooled", instances=4, keep=2)
        began = time.monotonic()
        with Books(deployed) as books:
            for version in range(1, switches + 1):
                books.switching, before = True, time.perf_counter()
                deployed.deploy(adder(version), strategy=STRATEGIES[kind])
                deploys.append(time.perf_counter() - before)
                books.switching = False
                while books.calls < calls * version // switches:
                    time.sleep(0.001)
        seconds = time.monotonic() - began
        live = deployed.call("version") == switches
    return Switched(
        kind=kind,
        calls=books.calls,
        switches=switches,
        failed=books.failed,
        wrong=books.wrong,
        seconds=seconds,
        deploy=statistics.median(deploys),
        steady=books.quantile(0.99, switching=False),
        during=books.quantile(0.99, switching=True),
        live=live,
    )
