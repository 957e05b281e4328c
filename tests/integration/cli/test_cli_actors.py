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


@pytest.fixture
def counter_here(here, guest):
    """A counter, deployed in this process; its `--state` options."""
    state = ("--state", here.work / "state")
    done = here(
        *("deploy", guest("counter-rust"), "--name", "acme/counter", *state),
        *("--lifetime", "actor", "--codec", "json", "--config", "start=40"),
    )
    assert done.returncode == 0, done.stderr
    return state


def error_of(done):
    """The one error that a command with `--json` printed."""
    lines = [line for line in done.stderr.splitlines() if line.startswith(b'{"error"')]
    (line,) = lines
    return json.loads(line)["error"]


def test_a_message_that_dies_is_explained_once(here, counter_here):
    for command in ("ask", "send"):
        done = here(command, "acme/counter", '{"nonsense": 0}', *counter_here)
        assert done.returncode == 1
        error, hint = done.stderr.decode().splitlines()
        assert error.startswith("error: acme/counter has not handled the message (undecodable): ")
        assert "unknown variant `nonsense`" in error
        assert hint == "hint: `airssys logs acme/counter` may say more"
    done = here("ask", "acme/counter", '{"nonsense": 0}', "--json", *counter_here)
    error = error_of(done)
    assert (done.returncode, done.stdout, error["code"]) == (1, b"", "request-dropped")
    assert error["hint"] == "`airssys logs acme/counter` may say more"


def test_an_ask_says_how_long_it_waited(here, guest):
    state = ("--state", here.work / "state")
    here(
        *("deploy", guest("actor-puppet"), "--name", "acme/puppet", *state),
        *("--lifetime", "actor", "--codec", "json"),
    )
    busy = ("ask", "acme/puppet", '{"do": [["reply-later"]]}', *state)
    done = here(*busy, "--timeout", "0.1")
    assert done.returncode == 1
    assert b"error: acme/puppet has not answered within 0.1 s\nhint: --timeout waits" in done.stderr
    for wrong in ("0", "-1", "nan", "inf", "1e300"):
        done = here(*busy, "--timeout", wrong)
        assert done.returncode == 2
        assert b"is no time to wait: expected seconds above 0" in done.stderr


def test_a_key_that_can_have_no_actor_leaves_nothing_behind(here, counter_here):
    for key in ("a\x01b", "k" * 600):
        done = here("ask", f"acme/counter#{key}", '"get"', "--json", *counter_here)
        assert (done.returncode, error_of(done)["code"]) == (2, "invalid-actor-key")
    # Keys that look like one another are actors of their own.
    for add, key in enumerate(("main", " main ", "%6Dain", "a/b", "a%2Fb", "  "), 1):
        done = here("ask", f"acme/counter#{key}", json.dumps({"add": add}), *counter_here)
        assert (done.returncode, done.stdout) == (0, b"%d\n" % (40 + add)), done.stderr
    (listed,) = json.loads(here("actors", "--json", *counter_here).stdout)
    assert [actor["key"] for actor in listed["actors"]] == sorted(
        ["", "main", " main ", "%6Dain", "a/b", "a%2Fb", "  "]
    )


def test_no_command_but_deploy_makes_a_state_directory(here):
    nowhere = here.work / "nowhere"
    for command in (
        ("ask", "acme/counter", "1"),
        ("send", "acme/counter", "1"),
        ("call", "acme/calc", "add(1, 2)"),
        ("rollback", "acme/calc"),
        ("actors",),
        ("inspect", "acme/counter", "--live"),
        ("logs", "acme/counter"),
        ("kv", "list", "acme/counter"),
    ):
        done = here(*command, "--json", "--state", nowhere)
        assert (done.returncode, error_of(done)["code"]) == (4, "state-directory"), command
        assert not nowhere.exists()


def test_inspect_says_what_is_not_of_a_file_or_not_of_a_deployment(here, counter_here, guest):
    assert here("inspect", "acme/counter", "--wit", *counter_here).returncode == 2
    assert here("inspect", guest("counter-rust"), "--live", *counter_here).returncode == 2
    done = here("inspect", "acme/counter#bob", "--json", *counter_here)
    assert (done.returncode, error_of(done)["code"]) == (3, "unknown-actor")
    shown = json.loads(here("inspect", "acme/counter#", "--json", *counter_here).stdout)
    assert [actor["key"] for actor in shown["actors"]] == [""]


def test_kv_names_what_is_missing_or_too_large(here, counter_here):
    for command in ("export", "backup"):
        name = ("acme/counter",) if command == "export" else ()
        done = here("kv", command, *name, here.work / "no" / "file", *counter_here)
        assert done.returncode == 3
        folder = str(here.work / "no").encode()
        assert done.stderr == b"error: %b: there is no such folder\nhint: make it first\n" % folder
    done = here("kv", "set", "acme/counter", "k" * 300, "v", "--json", *counter_here)
    assert (done.returncode, error_of(done)["code"]) == (1, "storage-quota-exceeded")
    assert error_of(done)["hint"].startswith("write less, or deploy with Limits(storage_key=")
    done = here("kv", "get", "acme/counter", "nothing", "--json", *counter_here)
    assert (done.returncode, error_of(done)["code"]) == (3, "unknown-key")
    assert here("kv").stderr == b""  # the help is enough
