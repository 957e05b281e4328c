"""A host that is killed with SIGKILL while it deploys, again and again, on one state directory."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airssys.wasm import Host

CALCULATOR = Path(__file__).parents[3] / "build" / "components" / "calculator.wasm"
ROUNDS = 12

# Deploys without end, each time the same code with another custom section, which makes it another
# component, compiled anew. Tells each revision when it was acknowledged.
DEPLOYER = """
import sys
from airssys.wasm import Host

component = open(sys.argv[2], "rb").read()
number = int(sys.argv[3])
with Host.open_blocking(sys.argv[1]) as host:
    while True:
        number += 1
        section = component + b"\\0\\x09\\4turn" + number.to_bytes(4, "big")
        deployment = host.deploy(section, name="demo/calculator", lifetime="pooled")
        assert deployment.call("add", number, 1) == number + 1
        print(deployment.revision.number, deployment.revision.digest, flush=True)
"""

pytestmark = pytest.mark.timeout(180)


def test_what_was_acknowledged_survives_and_the_rest_is_whole(tmp_path: Path) -> None:
    state = tmp_path / "state"
    chance = random.Random(7)
    known: dict[int, str] = {}
    for turn in range(ROUNDS):
        process = subprocess.Popen(
            [sys.executable, "-c", DEPLOYER, state, CALCULATOR, str(turn * 1000)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        # Some deployments, and then anywhere inside the next one.
        said = [process.stdout.readline() for _ in range(chance.randint(1, 4))]
        assert said[-1], process.communicate()[1]
        sum(range(chance.randint(0, 1_000_000)))
        process.send_signal(signal.SIGKILL)
        said += process.communicate()[0].splitlines()
        acknowledged = {int(number): digest for number, digest in map(str.split, said)}
        known = _checked(state, known | acknowledged)


def _checked(state: Path, known: dict[int, str]) -> dict[int, str]:
    """Open the directory, which needs no repair; look at it; return the revisions there are."""
    with Host.open_blocking(state) as host:
        deployment = host.deployment("demo/calculator")
        assert deployment.held is None
        assert deployment.call("add", 2, 3) == 5
        history = {revision.number: revision.digest for revision in deployment.history()}
        assert known.items() <= history.items(), "an acknowledged revision is gone"
        assert len(history) <= len(known) + 1, "only the one under way may be there besides"
        assert list(history) == list(range(1, len(history) + 1))
        assert deployment.revision.number == len(history)
        deploys = [each.to_revision for each in deployment.rollouts() if each.kind == "deploy"]
        assert deploys == list(history)
        # Every kept component can be made live again: its bytes are whole.
        for number in list(history)[-3:]:
            deployment.rollback(number)
            assert deployment.call("add", number, 1) == number + 1
        deployment.rollback(len(history))
    return history
