"""What the operator's file says of deployments counts for every client of the server."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from threading import Event, Thread

import pytest
from rollback_states import component
from serving_process import starter

from airssys.wasm import BlueGreen, Host, RolloutTakenBack, Trap

pytestmark = pytest.mark.timeout(120)

NAMES = ("file/command", "file/program", "file/waiting")
CANARY = """
[deployments."{name}"]
source = "nowhere.wasm"
strategy = "canary"
steps = [95]
step_duration = "1h"
bounds = { past = "any" }
"""


@pytest.fixture(scope="module")
def served_with_file(tmp_path_factory):
    directory = tmp_path_factory.mktemp("filed")
    entries = "".join(CANARY.replace("{name}", name) for name in NAMES)
    (directory / "airssys.toml").write_text(f"schema = 1\n{entries}")
    start, stop = starter(directory)
    yield start(directory / "state")
    stop()


@pytest.fixture
def airssys(served_with_file, tmp_path):
    """Run a command where there is no file."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "one.wat").write_bytes(component(1))
    (tmp_path / "elsewhere" / "bad.wat").write_bytes(component(2, traps_every=1))

    def run(*arguments: object, code: int = 0):
        done = subprocess.run(
            [
                *(sys.executable, "-c", "from airssys.cli import main; main()"),
                *(*map(str, arguments), "--name", "file/command", "--json"),
            ],
            capture_output=True,
            cwd=tmp_path / "elsewhere",
            timeout=100,
            check=False,
            env={
                **os.environ,
                "HOME": str(tmp_path),
                "AIRSSYS_STATE": str(served_with_file.state),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
        )
        assert done.returncode == code, done.stderr.decode()
        return json.loads(done.stdout)

    return run


def until_over(calc):
    """Call until the rollout is over; return how many calls failed."""
    failed = 0
    while not calc.rollout().status().over:
        for _ in range(20):
            try:
                calc.call("version")
            except Trap:
                failed += 1
    return failed


def test_a_canary_of_the_servers_file_takes_back_what_a_command_deploys(served_with_file, airssys):
    first = airssys("deploy", "one.wat")
    assert (first["live"]["number"], first["rollout"]) == (1, None)
    planned = airssys("plan", "bad.wat")
    assert planned["strategy"]["kind"] == "canary"
    assert planned["strategy"]["steps"] == [95]
    assert airssys("plan", "bad.wat", "--strategy", "recreate")["strategy"]["kind"] == "recreate"
    begun = airssys("deploy", "bad.wat")
    assert (begun["live"]["number"], begun["changed"]) == (1, False)
    assert (begun["rollout"]["strategy"], begun["rollout"]["weight"]) == ("canary", 0.95)
    with Host.connect_blocking(served_with_file.address) as host:
        calc = host.deployment("file/command")
        assert until_over(calc) == 1, "the route stops at the first trap"
        assert calc.rollout().status().state == "taken-back"
        assert calc.call("version") == 1
    at_once = airssys("deploy", "bad.wat", "--strategy", "blue-green")
    assert (at_once["live"]["number"], at_once["rollout"]) == (3, None)


async def test_and_what_a_connected_program_deploys(served_with_file):
    async with Host.connect(served_with_file.address) as host:
        await host.deploy(component(1), name="file/program")
        calc = await host.deploy(component(2, traps_every=1), name="file/program")
        assert calc.revision.number == 1
        await calc.rollout().abort()
        calc = await host.deploy(component(3), name="file/program", strategy=BlueGreen())
        assert calc.revision.number == 3
        rollout = await calc.deploy(component(4), wait=False)
        assert (await rollout.status()).strategy == "canary"
        await rollout.abort()


def test_waiting_for_such_a_deploy_tells_that_it_was_taken_back(served_with_file):
    with (
        Host.connect_blocking(served_with_file.address) as host,
        Host.connect_blocking(served_with_file.address) as caller,
        contextlib.ExitStack() as ending,
    ):
        host.deploy(component(1), name="file/waiting")
        calc = host.deployment("file/waiting")

        over = Event()

        def call():
            while not over.is_set():
                with contextlib.suppress(Trap):
                    caller.call("file/waiting", "version")

        thread = Thread(target=call)
        thread.start()
        ending.callback(thread.join)
        ending.callback(over.set)
        with pytest.raises(RolloutTakenBack, match="trapped in 1 of 1 calls"):
            calc.deploy(component(2, traps_every=1))
