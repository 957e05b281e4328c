"""A second deploy by command changes what it says, and nothing else."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def deploy(here, guest):
    def run(name, *options):
        done = here(
            *("deploy", guest(name), "--name", "acme/thing", "--state", "state"), *options, "--json"
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["live"]

    return run


def test_what_an_earlier_deploy_said_stays_until_it_is_said_otherwise(deploy):
    first = deploy(
        "calculator",
        *("--lifetime", "pooled", "--instances", "3", "--drain", "4", "--keep", "2"),
        *("--memory", "8MiB", "--cpu-per-call", "2"),
    )
    again = deploy("calculator-1-1")
    assert again["number"] == 2
    assert again["settings"] == first["settings"]
    other = deploy("calculator", "--call-timeout", "3", "--cpu-per-call", "1", "--drain", "5")
    settings = other["settings"]
    assert (settings["lifetime"], settings["instances"], settings["drain"]) == ("pooled", 3, 5)
    limits = settings["limits"]
    assert (limits["memory"], limits["cpu_per_call"], limits["call_timeout"]) == (8 << 20, 1, 3)
    fresh = deploy("calculator-1-1", "--anew", "--drain", "6")["settings"]
    assert (fresh["lifetime"], fresh["instances"], fresh["drain"]) == ("call", 8, 6)
    assert fresh["limits"]["memory"] == 64 << 20


def test_so_does_what_an_actor_is(deploy):
    first = deploy(
        "actor-puppet",
        *("--lifetime", "actor", "--codec", "json", "--accepts", "json"),
        *("--on-rollback", "discard", "--config", "depth=40", "--config", "label=x"),
        *("--may-send", "other/*"),
    )["settings"]
    assert deploy("actor-puppet")["settings"] == first
    changed = deploy("actor-puppet", "--config", "depth=3", "--on-rollback", "refuse")["settings"]
    assert changed["config"] == {"depth": 3, "label": "x"}
    assert (changed["actor"]["codec"], changed["actor"]["rollback"]) == ("json", "refuse")
    assert changed["capabilities"] == first["capabilities"]
    assert [each.get("send") for each in first["capabilities"]["messaging"]] == ["other/*", None]


def test_what_is_said_of_recorded_calls_stays_likewise(deploy, here, guest):
    replay = deploy("calculator", "--replay", "warn")["settings"]["replay"]
    assert (replay["on_difference"], replay["calls"]) == ("warn", 200)
    assert deploy("calculator-1-1")["settings"]["replay"] == replay
    assert deploy("calculator", "--replay", "off")["settings"]["replay"]["calls"] == 0
    wrong = here("deploy", guest("calculator"), "--name", "acme/thing", "--replay", "ask")
    assert wrong.returncode == 2
    assert b"expected refuse" in wrong.stderr
