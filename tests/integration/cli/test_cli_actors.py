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
