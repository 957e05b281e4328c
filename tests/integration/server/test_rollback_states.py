"""`airssys rollback` leads back from every state, with a server and without one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from rollback_states import STATES, canary_running, component, replaced_at_once

from airssys.cli import main
from airssys.wasm import Host

pytestmark = pytest.mark.timeout(240)


def rollback(state, name, *options):
    """Run the command in a process of its own."""
    command = [sys.executable, "-c", "from airssys.cli import main; main()", "rollback", name]
    return subprocess.run(
        [*command, *options, "--state", str(state), "--json"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def live_after(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["live"]["number"]


@pytest.mark.parametrize("make", STATES, ids=lambda state: state.__name__)
def test_a_command_leads_back_from(shared, make):
    name = f"back/{make.__name__.replace('_', '-')}"
    with Host.connect_blocking(shared.address) as host:
        options, expected = make(host, name)
        assert live_after(rollback(shared.state, name, *options)) == expected
        deployment = host.deployment(name)
        assert (deployment.revision.number, deployment.held) == (expected, None)
        assert deployment.rollout().status().over
        # It works again, with what it knew.
        if "version" in deployment.exports:
            assert {deployment.call("version") for _ in range(20)} == {expected}
        else:
            answers = [deployment.actor(each.key).ask("get") for each in host.actors(name)]
            counts = {answer["count"] if type(answer) is dict else answer for answer in answers}
            assert counts == {7}


def test_beside_a_server_it_loads_neither_host_nor_event_loop(shared):
    """Most of what the command takes is what it loads, and somebody waits for it in trouble."""
    with Host.connect_blocking(shared.address) as host:
        replaced_at_once(host, "back/lean")
    script = """
import json, sys
from airssys.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0
    sys.stderr.write(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            "--server",
            shared.address,
            "rollback",
            "back/lean",
            "--to",
            "1",
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    modules = set(json.loads(done.stderr.splitlines()[-1]))
    heavy = {
        "asyncio",
        "rich",
        "airssys.wasm.delivery.strategies",
        "airssys.wasm.host_core",
        "airssys.wasm.manifest.read",
        "airssys.wasm.settings",
        "pydantic",
    }
    assert not modules & heavy


def test_taking_a_rollout_back_is_said(shared, capsys):
    with Host.connect_blocking(shared.address) as host:
        canary_running(host, "back/said")
    with pytest.raises(SystemExit) as ended:
        main(["--server", shared.address, "rollback", "back/said"])
    assert ended.value.code == 0
    assert "revision 2 of back/said was taken back" in capsys.readouterr().err


def test_without_a_server_it_leads_back_from_a_rollout_that_a_kill_cut_short(serve, tmp_path):
    served = serve(tmp_path / "state")
    with Host.connect_blocking(served.address) as host:
        canary_running(host, "acme/calc")
    served.end(signal.SIGKILL)
    assert live_after(rollback(served.state, "acme/calc")) == 1
    with Host.open_blocking(served.state) as host:
        assert host.deployment("acme/calc").call("version") == 1


def test_without_a_server_it_leads_back_from_what_does_not_start_any_more(tmp_path):
    state = tmp_path / "state"
    with Host.open_blocking(state) as host:
        host.deploy(component(1), name="acme/calc")
        live = host.deployment("acme/calc").deploy(component(2)).revision
    (state / "blobs" / "sha256" / live.digest.removeprefix("sha256:")).unlink()
    assert live_after(rollback(state, "acme/calc")) == 1
    with Host.open_blocking(state) as host:
        assert (host.deployment("acme/calc").held, host.call("acme/calc", "version")) == (None, 1)


def test_where_there_is_nothing_to_go_back_to_it_says_so_and_changes_nothing(shared):
    with Host.connect_blocking(shared.address) as host:
        host.deploy(component(1), name="back/first")
        nothing = rollback(shared.state, "back/first")
        assert (nothing.returncode, host.call("back/first", "version")) == (3, 1)
        assert "name the revision to go to" in json.loads(nothing.stderr)["error"]["hint"]
        replaced_at_once(host, "back/gone")
        host.deployment("back/gone").remove()
        gone = rollback(shared.state, "back/gone")
        assert gone.returncode == 3
        assert "no deployment is named 'back/gone'" in gone.stderr
