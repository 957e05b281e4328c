"""Rollouts of a host that is served: begun, watched and steered from another process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading

import pytest
from rollback_states import component

from airssys.wasm import Analysis, Bounds, Canary, Host, RolloutInProgress, Trap
from airssys.wasm.settings import settings_from

pytestmark = pytest.mark.timeout(120)

ANALYSIS = Analysis(alpha=0.01, min_calls=100, acceptable=0.1, slow=())
CANARY = Canary(
    steps=[20, 50], step_duration=0.2, analysis=ANALYSIS, bounds=Bounds(traps=None, past=None)
)
SETTINGS = settings_from(lifetime="pooled", instances=1)


@contextlib.contextmanager
def load(address):
    """Call from a client of its own, and count what users see."""
    failed, ending = [], threading.Event()

    def call():
        with Host.connect_blocking(address) as host:
            calc = host.deployment("acme/calc")
            while not ending.is_set():
                try:
                    calc.call("version")
                except Trap as error:
                    failed.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield failed
    finally:
        ending.set()
        thread.join()


def test_a_canary_that_fails_is_taken_back_and_a_good_one_promoted(served):
    with Host.connect_blocking(served.address) as host:
        calc = host.deploy_as(component(1), "acme/calc", SETTINGS)
        with load(served.address) as failed:
            host.deploy_as(component(2, traps_every=10), "acme/calc", SETTINGS, strategy=CANARY)
            with pytest.raises(RolloutInProgress):
                host.deploy_as(component(3), "acme/calc", SETTINGS)
            status = calc.rollout().wait()
            assert status.state == "taken-back"
            assert status.judgement.verdict == "worse"
            assert 0 < len(failed) < 40
            host.deploy_as(component(3), "acme/calc", SETTINGS, strategy=CANARY)
            kinds = [step.kind for step in calc.rollout().events()]
            assert kinds == ["step", "step", "promoted"]
        assert calc.call("version") == 3
        assert calc.revision.number == 3
        difference = calc.difference(1, 3)
        assert difference.interface.compatible


def test_it_is_steered_by_commands(served, tmp_path):
    def airssys(*words: object) -> str:
        done = subprocess.run(
            [sys.executable, "-c", "from airssys.cli import main; main()", *map(str, words)],
            env={
                **os.environ,
                "AIRSSYS_STATE": str(served.state),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    files = []
    for version in (1, 2):
        files.append(tmp_path / f"{version}.wat")
        files[-1].write_bytes(component(version))
    airssys("deploy", files[0], "--name", "acme/calc", "--lifetime", "pooled")
    plan = json.loads(airssys("plan", files[1], "--name", "acme/calc", "--json"))
    assert (plan["from_revision"], plan["to_revision"], plan["problems"]) == (1, 2, [])
    canary = ("--strategy", "canary", "--steps", "5,50", "--step-duration", "600")
    airssys("deploy", files[1], "--name", "acme/calc", "--lifetime", "pooled", *canary)
    status = json.loads(airssys("rollout", "weight", "acme/calc", "40", "--json"))
    assert (status["state"], status["weight"]) == ("paused", 0.4)
    assert "paused at 40.0%" in airssys("rollout", "status", "acme/calc")
    promoted = json.loads(airssys("rollout", "promote", "acme/calc", "--why", "good", "--json"))
    assert promoted["state"] == "promoted"
    steps = airssys("rollout", "watch", "acme/calc").splitlines()
    assert [line.split()[1] for line in steps] == ["step", "weight", "promoted"]
    assert airssys("call", "acme/calc", "version()").strip() == "2"
    assert "the interface is compatible" in airssys("diff", "acme/calc", "1", "2")
