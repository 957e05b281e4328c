"""The command line against a host that is served."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def airssys(shared, tmp_path):
    """Run a command against the server of the module."""

    def command(arguments, state=shared.state):
        return {
            "args": [
                *(sys.executable, "-c", "from airssys.cli import main; main()"),
                *map(str, arguments),
            ],
            "cwd": tmp_path,
            "env": {
                **os.environ,
                "AIRSSYS_STATE": str(state),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
        }

    def run(*arguments: object, state=shared.state):
        given = command(arguments, state)
        return subprocess.run(**given, capture_output=True, timeout=120, check=False)

    def begin(*arguments: object):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(**command(arguments), **pipes)

    run.begin = begin
    return run


def done(finished) -> str:
    assert finished.returncode == 0, finished.stderr.decode()
    return finished.stdout.decode()


def test_deployments_are_changed_and_called_in_the_server(airssys, guest):
    done(airssys("deploy", guest("calculator"), "--name", "cli/calc", "--why", "first"))
    assert done(airssys("call", "cli/calc", "add(2, 3)")) == "5\n"
    failed = airssys("call", "cli/calc", "demo:calc/ops#divide(1, 0)", "--json")
    assert failed.returncode == 5
    assert json.loads(failed.stdout)["wave"] == "err(division-by-zero)"
    wrong = airssys("call", "cli/calc", "add(2")
    assert (wrong.returncode, b"add(a: u32, b: u32)" in wrong.stderr) == (2, True)
    done(airssys("deploy", guest("calculator-1-1"), "--name", "cli/calc"))
    rolled = json.loads(done(airssys("rollback", "cli/calc", "--json")))
    assert (rolled["changed"], rolled["live"]["number"]) == (True, 1)
    assert "cli/calc" in done(airssys("list"))
    shown = json.loads(done(airssys("status", "--json")))
    (state,) = [each for each in shown["deployments"] if each["name"] == "cli/calc"]
    assert shown["running"] is True
    assert (state["revision"]["number"], state["statistics"]["calls"]) == (1, 2)
    done(airssys("remove", "cli/calc"))
    missing = airssys("call", "cli/calc", "add(2, 3)")
    assert missing.returncode == 3
    assert b"no deployment is named 'cli/calc'" in missing.stderr
    lines = done(airssys("events", "--json")).splitlines()
    own = [each for each in map(json.loads, lines) if each["deployment"] == "cli/calc"]
    assert [each["kind"] for each in own] == ["deployed", "deployed", "rolled-back", "removed"]


def test_actors_take_messages_in_the_server(airssys, guest):
    done(
        airssys(
            *("deploy", guest("counter-rust"), "--name", "cli/counter", "--lifetime", "actor"),
            *("--codec", "json", "--config", "start=40"),
        )
    )
    assert done(airssys("ask", "cli/counter", '{"add": 2}')) == "42\n"
    done(airssys("send", "cli/counter#ann", '{"add": 1}'))
    assert done(airssys("ask", "cli/counter#ann", '"get"')) == "41\n"
    shown = json.loads(done(airssys("inspect", "cli/counter", "--live", "--json")))
    assert {actor["key"]: actor["state"] for actor in shown["live"]} == {
        "": "running",
        "ann": "running",
    }
    refused = airssys("ask", "cli/counter", '{"divide": 0}')
    assert (refused.returncode, b"trap" in refused.stderr) == (5, True)


def test_status_and_top_show_what_goes_on(airssys, guest):
    done(airssys("deploy", guest("calculator"), "--name", "cli/shown"))
    done(airssys("call", "cli/shown", "add(2, 3)"))
    assert "cli/shown" in done(airssys("status"))
    (look,) = done(airssys("top", "--interval", "0.1", "--count", "1", "--json")).splitlines()
    assert "cli/shown" in [each["name"] for each in json.loads(look)["deployments"]]
    assert "cli/shown" in done(airssys("top", "--interval", "0.1"))


def test_without_a_server_the_commands_say_so(airssys, guest, tmp_path):
    state = tmp_path / "other"
    done(airssys("deploy", guest("calculator"), "--name", "cli/alone", state=state))
    shown = json.loads(done(airssys("status", "--json", state=state)))
    assert shown == {"running": False, "owner": None, "deployments": ["cli/alone"]}
    for command in ("events", "top"):
        refused = airssys(command, state=state)
        assert refused.returncode == 4
        assert b"no server runs" in refused.stderr
        assert b"airssys serve" in refused.stderr


def test_top_shows_the_rollouts_that_are_under_way(airssys, guest):
    for name in ("calculator", "calculator-1-1"):
        options = () if name == "calculator" else ("--strategy", "canary", "--steps", "5,50")
        done(airssys("deploy", guest(name), "--name", "cli/moving", *options))
    (look,) = done(airssys("top", "--interval", "0.1", "--json")).splitlines()
    (rollout,) = json.loads(look)["rollouts"]
    moved = (rollout["deployment"], rollout["from_revision"], rollout["to_revision"])
    assert moved == ("cli/moving", 1, 2)
    assert (rollout["weight"], rollout["state"], rollout["verdict"]) == (0.05, "running", "open")
    assert "verdict so far" in done(airssys("top", "--interval", "0.1"))
    done(airssys("rollout", "abort", "cli/moving"))
    (look,) = done(airssys("top", "--interval", "0.1", "--json")).splitlines()
    assert json.loads(look)["rollouts"] == []


def test_watching_says_at_once_what_it_waits_for(airssys, guest):
    for name in ("calculator", "calculator-1-1"):
        options = () if name == "calculator" else ("--strategy", "canary")
        done(airssys("deploy", guest(name), "--name", "cli/watched", *options))
    watching = airssys.begin("rollout", "watch", "cli/watched")
    try:
        said = watching.stderr.readline()
        assert "cli/watched: 1 -> 2, canary running at 1.0%; steps end on the evidence" in said
        done(airssys("rollback", "cli/watched"))
        watching.communicate(timeout=60)
        assert watching.returncode == 1
    finally:
        watching.kill()
        watching.communicate()


def test_a_route_to_no_deployment_is_noticed(airssys, serve, tmp_path):
    served = serve(tmp_path / "state", "--http", "127.0.0.1:0", "--route", "/=acme/none")
    shown = json.loads(done(airssys("status", "--json", state=served.state)))
    assert [each["missing"] for each in shown["http"]] == [["acme/none"]]
    said = airssys("status", state=served.state)
    assert b"a route leads to 'acme/none'" in said.stderr
    code, errors = served.end()
    assert (code, "no deployment is named 'acme/none'" in errors) == (0, True)


def test_replay_before_a_revision_goes_live_is_asked_for_on_the_command_line(airssys, guest):
    deploy = ("deploy", guest("calculator"), "--name", "cli/kept", "--replay", "warn")
    done(airssys(*deploy))
    for number in range(3):
        done(airssys("call", "cli/kept", f"add({number}, 1)"))
    plan = ("plan", guest("calculator-1-1"), "--name", "cli/kept", "--json")
    report = json.loads(done(airssys(*plan)))["replay"]
    assert (report["same"], report["different"]) == (3, 0)
    assert json.loads(done(airssys(*plan, "--replay", "off")))["replay"] is None
    assert airssys(*plan, "--replay", "loud").returncode == 2
