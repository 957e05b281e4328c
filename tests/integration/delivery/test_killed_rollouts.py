"""A host that is killed at every step that a rollout records comes back, and ends the rollout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from delivery_guests import adder

from airssys.wasm import Analysis, Bounds, Canary, Host

NAME = "acme/calc"
QUICK = Analysis(alpha=0.01, min_calls=50, acceptable=0.2, warm_up=0, baseline=10**6)
CANARY = Canary(steps=[20, 50], step_duration=0.02, analysis=QUICK, bounds=Bounds(past=None))

# Deploys a canary under load, and is killed right after the n-th thing it recorded since.
BE_KILLED = """
import contextlib, os, signal, sys
sys.path.insert(0, sys.argv[3])
import airssys.wasm.registry as registry
from test_killed_rollouts import CANARY, NAME
from delivery_guests import adder
from airssys.wasm import Host

left = [None]
durable = registry.transaction
@contextlib.contextmanager
def counted(connection):
    with durable(connection):
        yield
    if left[0] is not None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
registry.transaction = counted

with Host.open_blocking(sys.argv[1]) as host:
    calc = host.deploy(adder(1), name=NAME, lifetime="pooled")
    left[0] = int(sys.argv[2])
    every = int(sys.argv[4])
    rollout = calc.deploy(adder(2, traps_every=every), strategy=CANARY, wait=False)
    while not rollout._running.done.done():
        with contextlib.suppress(Exception):
            calc.call("add", 1, 2)
    left[0] = None  # what the host records when it closes is none of the rollout's
    print(rollout.wait().state, flush=True)
"""


def killed(state, after, every=0):
    """Run it; return whether it was killed before the rollout was over."""
    script = textwrap.dedent(BE_KILLED)
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", script, str(state), str(after), here, str(every)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode != 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("every", [0, 7], ids=["good", "bad"])
def test_killed_after_every_record_it_comes_back_and_ends_the_rollout(tmp_path, every):
    """Every record from the first of the rollout to the last, one killed process for each."""
    seen = []
    for after in range(1, 20):
        state = tmp_path / f"state-{after}"
        if not killed(state, after, every):
            break
        with Host.open_blocking(state) as host:
            calc = host.deployment(NAME)
            assert calc.held is None
            before = calc.rollouts()[-1].state
            assert calc.revision.number == (2 if before == "promoted" else 1)
            # Whatever is live answers, and the rollout goes on to its end.
            rollout = calc.rollout()
            for _ in range(100_000):
                if before != "running" or rollout._running.done.done():
                    break
                try:
                    assert calc.call("add", 1, 2) == 3
                except Exception:  # noqa: BLE001 - a trap of the bad one
                    assert every, "a good revision fails no call"
            assert rollout.wait().state == ("taken-back" if every else "promoted")
            expected = 1 if every else 2
            assert calc.revision.number == calc.call("version") == expected
            seen.append([step.kind for step in rollout.events()])
    else:
        pytest.fail("it was never over")
    assert len(seen) == (2 if every else 3), seen
    if not every:
        assert ["step", "recovered", "step", "promoted"] in seen
        assert ["step", "step", "promoted"] in seen, "killed after the promotion was recorded"


def test_a_revision_that_does_not_start_any_more_is_taken_back_when_the_host_is_opened(tmp_path):
    state = tmp_path / "state"
    host = Host.open_blocking(state)
    calc = host.deploy(adder(1), name=NAME)
    calc.deploy(adder(2), strategy=CANARY, wait=False)
    digest = calc.history()[1].digest.removeprefix("sha256:")
    host.close()
    (state / "blobs" / "sha256" / digest).unlink()
    with Host.open_blocking(state) as host:
        calc = host.deployment(NAME)
        assert calc.call("version") == 1
        status = calc.rollout().wait()
        assert status.state == "taken-back"
        last = list(calc.rollout().events())[-1]
        assert last.why.startswith("it does not start any more")
