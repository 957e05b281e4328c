"""Locks against changes, the switch that stops every guest, and what is kept of old revisions."""

from __future__ import annotations

import threading

import pytest
from delivery_guests import adder

from airssys.wasm import (
    CallDrained,
    Canary,
    DeploymentHeld,
    DeploymentLocked,
    Host,
    RevisionCollected,
)

NAME = "acme/calc"
CANARY = Canary(steps=[5], step_duration=3600)


def test_a_frozen_host_takes_calls_and_no_changes_even_when_opened_again(host, state):
    calc = host.deploy(adder(1), name=NAME)
    calc.deploy(adder(2))
    host.freeze(why="the holidays", who="ops")
    for change in (
        lambda: calc.deploy(adder(3)),
        calc.rollback,
        calc.remove,
        lambda: host.deploy(adder(1), name="acme/other"),
    ):
        with pytest.raises(DeploymentLocked, match="frozen by ops: the holidays; thaw"):
            change()
    assert calc.call("version") == 2
    host.close()
    with Host.open_blocking(state) as again:
        assert [lock.why for lock in again.locks()] == ["the holidays"]
        with pytest.raises(DeploymentLocked):
            again.deployment(NAME).rollback()
        again.thaw()
        assert again.deployment(NAME).rollback().number == 1


def test_a_lock_is_of_one_deployment_and_lets_a_rollout_that_runs_go_on(host):
    calc = host.deploy(adder(1), name=NAME)
    rollout = calc.deploy(adder(2), strategy=CANARY, wait=False)
    host.lock(NAME, why="audit")
    with pytest.raises(DeploymentLocked, match="'acme/calc' is locked"):
        calc.deploy(adder(3))
    assert host.deploy(adder(1), name="acme/other").call("version") == 1
    assert rollout.promote().state == "promoted"
    host.unlock(NAME)
    assert calc.rollback().number == 1


def test_the_kill_switch_ends_what_runs_and_holds_until_it_is_revived(host, state):
    spins = adder(1, loops=2_000_000_000)
    calc = host.deploy(spins, name=NAME)
    other = host.deploy(adder(1), name="acme/other")
    rollout = other.deploy(adder(2), strategy=CANARY, wait=False)
    failed = []

    def call():
        try:
            calc.call("add", 1, 2)
        except Exception as error:  # noqa: BLE001 - looked at below
            failed.append(error)

    running = threading.Thread(target=call)
    running.start()
    while not calc.statistics().in_flight:
        assert running.is_alive()
    host.kill_all(why="breach")
    running.join(30)
    assert [type(error) for error in failed] == [CallDrained]
    assert rollout.status().state == "taken-back"
    for deployment in (calc, other):
        with pytest.raises(DeploymentHeld, match="breach"):
            deployment.call("version")
    with pytest.raises(DeploymentLocked, match="revive"):
        calc.deploy(adder(3))
    host.close()
    with Host.open_blocking(state) as again:
        assert "breach" in again.deployment(NAME).held
        again.revive()
        assert again.deployment("acme/other").call("version") == 1
        assert again.locks() == ()


def test_components_of_old_revisions_are_deleted_and_never_what_is_needed(host, state):
    calc = host.deploy(adder(1), name=NAME)
    for version in (2, 3, 4, 5):
        calc.deploy(adder(version))
    calc.rollback(to=2)
    rollout = calc.deploy(adder(6), strategy=CANARY, wait=False)
    stored = state / "blobs" / "sha256"
    assert host.collect(keep=2, keep_for=3600) == 0, "all are younger than that"
    assert host.collect(keep=2) > 0
    kept = [each.number for each in calc.history() if not each.collected]
    assert kept == [2, 5, 6], "live, the last two, and what is being moved to"
    assert {path.name for path in stored.iterdir()} == {
        each.digest.removeprefix("sha256:") for each in calc.history() if not each.collected
    }
    rollout.abort()
    with pytest.raises(RevisionCollected, match="revision 3"):
        calc.rollback(to=3)
    assert calc.rollback(to=5).number == 5
    assert calc.call("version") == 5
