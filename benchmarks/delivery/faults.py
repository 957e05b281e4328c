"""Faulty revisions, each given to a canary under load: what users see of them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

from airssys.wasm import Analysis, Bounds, Canary, Host
from benchmarks.delivery.guests import adder
from benchmarks.delivery.load import Books

#: Turns of a loop of the good revision, so that a slower one has something to be slower than.
_LOOPS = 1000
FAULTS = {
    "traps in 1 of 100 calls": {"traps_every": 100},
    "traps in 1 of 20 calls": {"traps_every": 20},
    "traps in every call": {"traps_every": 1},
    "slower": {"loops": 20_000_000},
    "keeps a page of memory in each call": {"grows": True},
}


@dataclass(frozen=True, slots=True)
class Caught:
    """What came of a faulty revision.

    Attributes:
        fault: What is wrong with it.
        state: Of its rollout at the end.
        why: As it is on record.
        calls: Of all callers.
        its: Calls that it took.
        failed: Calls that were not answered.
    """

    fault: str
    state: str
    why: str
    calls: int
    its: int
    failed: int

    @property
    def share(self):
        """Which part of all calls its users saw fail."""
        return self.failed / self.calls

    @property
    def kept(self):
        """Whether it was taken back with fewer than 1 % of the calls failing."""
        return self.state == "taken-back" and self.share < 0.01


def caught(fault):
    """Try a faulty revision on 1 % of the calls first, judged by the test alone.

    By default the first trap is enough where the live revision has had none; here it is not.
    """
    analysis = Analysis(alpha=0.01, min_calls=10**9, warm_up=50, baseline=500)
    strategy = Canary(
        steps=(1, 5, 25, 50),
        step_duration=600,
        analysis=analysis,
        bounds=Bounds(traps=None, past=None),
    )
    with tempfile.TemporaryDirectory() as state, Host.open_blocking(state) as host:
        deployed = host.deploy(
            adder(1, loops=_LOOPS), name="acme/calc", lifetime="pooled", instances=4
        )
        for number in range(1000):
            deployed.call("add", number, 1)
        with Books(deployed) as books:
            new = adder(2, **{"loops": _LOOPS, **FAULTS[fault]})
            status = deployed.deploy(new, strategy=strategy, wait=False).wait(300)
    return Caught(
        fault=fault,
        state=status.state,
        why=status.why,
        calls=books.calls,
        its=status.calls[1],
        failed=books.failed,
    )
