"""The commands on component actors, in processes of their own."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def counter(airssys, guest):
    """A counter, deployed; its `--state` options."""
    state = ("--state", airssys.work / "state")
    done = airssys(
        *("deploy", guest("counter-rust"), "--name", "acme/counter", *state),
        *("--lifetime", "actor", "--codec", "json", "--config", "start=40"),
    )
    assert done.returncode == 0, done.stderr
    return state


def test_send_ask_and_look_at_actors(airssys, counter):
    done = airssys("ask", "acme/counter", '{"add": 2}', *counter)
    assert (done.returncode, done.stdout) == (0, b"42\n"), done.stderr
    done = airssys("send", "acme/counter#ann", '{"add": 1}', *counter)
    assert done.returncode == 0, done.stderr
    done = airssys("ask", "acme/counter#ann", '"get"', "--json", *counter)
    assert json.loads(done.stdout) == {"actor": "acme/counter#ann", "reply": 41}
    tree = airssys("actors", *counter).stdout.decode()
    assert "acme" in tree
    assert "counter" in tree
    assert "ann" in tree
    (listed,) = json.loads(airssys("actors", "--json", *counter).stdout)
    assert [actor["key"] for actor in listed["actors"]] == ["", "ann"]
    assert all(actor["size"] == 8 for actor in listed["actors"])
    shown = json.loads(airssys("inspect", "acme/counter", "--json", *counter).stdout)
    assert (shown["lifetime"], shown["run"]["codec"]) == ("actor", "json")
    assert shown["ceilings"] == {"memory": None, "instances": None, "calls_per_second": None}
    assert b"lifetime    actor" in airssys("inspect", "acme/counter", *counter).stdout


def test_what_fails_is_said(airssys, counter):
    done = airssys("ask", "acme/counter", '{"divide": 0}', *counter)
    assert done.returncode == 5
    assert b"trap" in done.stderr
    done = airssys("send", "acme/counter", '{"nonsense": 0}', *counter)
    assert done.returncode == 1
    assert b"undecodable" in done.stderr
    assert airssys("ask", "acme/counter", "no json", *counter).returncode == 2
    assert airssys("ask", "acme/conter", "1", *counter).returncode == 3
    assert airssys("ask", "acme/counter", "1", "--codec", "telegram", *counter).returncode == 2
    assert airssys("logs", "acme/counter", "--level", "loud", *counter).returncode == 2
    assert airssys("logs", "acme/conter", *counter).returncode == 3
    assert airssys("inspect", "acme/conter", *counter).returncode == 3
    assert airssys("call", "acme/counter", "get()", *counter).returncode != 0


def test_logs_are_there_after_the_host_has_gone(airssys, guest):
    state = ("--state", airssys.work / "state")
    script = '{"do": [["log", "warning", "careful", {"a": "b"}], ["log", "debug", "detail"]]}'
    airssys(
        *("deploy", guest("actor-puppet"), "--name", "acme/puppet", *state),
        *("--lifetime", "actor", "--codec", "json"),
    )
    assert airssys("ask", "acme/puppet", script, *state).returncode == 0
    lines = airssys("logs", "acme/puppet", "--level", "warning", *state).stdout.decode()
    assert "warning careful a=b" in lines
    assert "detail" not in lines
    every = airssys("logs", "acme/puppet", "--json", "--since", "10m", *state).stdout
    assert [json.loads(line)["message"] for line in every.splitlines()] == ["careful", "detail"]


def test_live_actors_say_how_they_are(airssys, counter):
    airssys("ask", "acme/counter#ann", '{"add": 1}', *counter)
    shown = json.loads(airssys("inspect", "acme/counter", "--live", "--json", *counter).stdout)
    actors = {actor["key"]: actor for actor in shown["live"]}
    assert set(actors) == {"", "ann"}
    main = actors[""]
    assert (main["state"], main["health"]) == ("running", "healthy")
    assert (main["version"], main["accepts"]) == ("1.0.0", ["json"])
    assert main["memory"] > 0
    text = airssys("inspect", "acme/counter", "--live", *counter).stdout
    assert b"main: running, healthy, version 1.0.0, accepts json" in text
    assert airssys("inspect", "acme/conter", "--live", *counter).returncode == 3


def test_state_is_handed_over_as_the_options_say(airssys, counter, guest):
    second = ("deploy", guest("counter-rust-2"), "--name", "acme/counter", *counter)
    done = airssys(*second, "--lifetime", "actor", "--on-rollback", "refuse")
    assert done.returncode == 0, done.stderr
    done = airssys("ask", "acme/counter", '{"add": 2}', *counter)
    assert json.loads(done.stdout) == {"count": 42, "changes": 1}
    refused = airssys("rollback", "acme/counter", *counter)
    assert refused.returncode == 1
    assert b"no earlier revision can take its state" in refused.stderr
    assert airssys(*second, "--lifetime", "actor", "--hand-over", "guess").returncode == 2
