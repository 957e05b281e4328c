"""Canaries with real guests under load: what is good takes over, what is bad is taken back."""

from __future__ import annotations

import contextlib
import itertools
import threading

import pytest
from delivery_guests import adder, wants_rights, with_other_interface

from airssys.wasm import (
    Analysis,
    BlueGreen,
    Bounds,
    Canary,
    Host,
    InvalidComponent,
    Recreate,
    Rolling,
    RolloutInProgress,
    RolloutOver,
    RolloutTakenBack,
    StrategyUnsupported,
    Trap,
    UnknownImport,
)

NAME = "acme/calc"
#: Few calls make the evidence, so that a test takes some tenths of a second.
QUICK = Analysis(alpha=0.01, min_calls=200, acceptable=0.05, warm_up=20, baseline=200, slow=())
CANARY = Canary(steps=[5, 25, 50], step_duration=0.05, analysis=QUICK, bounds=Bounds(past=None))


def deployed(host, content=None, **settings):
    settings = {"lifetime": "pooled", "instances": 2} | settings
    return host.deploy(content or adder(1), name=NAME, **settings)


def test_a_canary_that_fails_one_call_in_twenty_is_taken_back_by_itself(host, load):
    calc = deployed(host)
    strategy = Canary(
        steps=[5, 25, 50], step_duration=30, analysis=QUICK, bounds=Bounds(traps=None, past=None)
    )
    with load(calc) as books:
        rollout = calc.deploy(adder(2, traps_every=20), strategy=strategy, wait=False)
        status = rollout.wait(50)
    assert status.state == "taken-back"
    assert "error: " in status.why or "trap: " in status.why
    assert calc.call("version") == 1
    assert {type(error) for error in books.failed} == {Trap}
    assert not books.wrong
    # The share of failing calls that users saw.
    assert len(books.failed) <= 30
    assert len(books.failed) / books.calls < 0.01
    assert [step.kind for step in rollout.events()] == ["step", "taken-back"]
    evidence = {each.signal: each for each in status.judgement.evidence}
    assert evidence["error"].bad[0] == 0
    assert calc.revision.number == 1
    assert [(each.to_revision, each.state) for each in calc.rollouts()] == [
        (1, "promoted"),
        (2, "taken-back"),
    ]


def test_a_good_canary_takes_every_step_and_no_call_fails(host, load):
    calc = deployed(host)
    with load(calc) as books:
        rollout = calc.deploy(adder(2), strategy=CANARY, wait=False)
        status = rollout.wait(50)
    assert status.state == "promoted", status.why
    assert (books.failed, books.wrong) == ([], [])
    assert calc.call("version") == 2
    assert calc.revision.number == 2
    steps = list(rollout.events())
    assert [step.weight for step in steps] == [0.05, 0.25, 0.5, 1.0]
    assert steps[-1].judgement.verdict == "good"
    assert steps[-1].stages[0].weight == 0.05
    assert calc.rollback().number == 1
    assert calc.call("version") == 1


def test_one_trap_takes_it_back_at_once_where_the_live_one_has_none(host, load):
    calc = deployed(host)
    with load(calc) as books:
        rollout = calc.deploy(adder(2, traps_every=100), strategy=CANARY, wait=False)
        status = rollout.wait(50)
    assert status.state == "taken-back"
    assert "outside the stated false-alarm rate" in status.why
    assert len(books.failed) <= 3
    assert [step.kind for step in rollout.events()] == ["step", "taken-back"]


def test_the_first_trap_is_the_last_call_of_it_that_anybody_makes(host):
    """One caller after another: the route itself stops at the trap, before anybody looked."""
    calc = deployed(host)
    strategy = Canary(steps=[95], step_duration=3600, analysis=QUICK)
    rollout = calc.deploy(adder(2, answer="unreachable"), strategy=strategy, wait=False)
    failed = 0
    for number in range(500):
        try:
            assert calc.call("add", number, 1) == number + 1
        except Trap:
            failed += 1
    assert failed == 1
    status = rollout.wait(50)
    assert (status.state, status.calls[1]) == ("taken-back", 1)
    assert "trapped in 1 of 1 calls" in status.why


def test_callers_at_once_see_one_trap_each_at_most(host):
    calc = deployed(host)
    strategy = Canary(steps=[95], step_duration=3600, analysis=QUICK)
    rollout = calc.deploy(adder(2, answer="unreachable"), strategy=strategy, wait=False)
    together, failed = threading.Barrier(4), []

    def caller():
        together.wait()
        for number in range(200):
            try:
                calc.call("add", number, 1)
            except Trap as error:
                failed.append(error)

    threads = [threading.Thread(target=caller) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert 1 <= len(failed) <= len(threads)
    assert rollout.wait(50).state == "taken-back"


def test_traps_that_a_bound_lets_pass_are_counted_to_the_last(host):
    calc = deployed(host)
    bounds = Bounds(traps=3, past=None)
    strategy = Canary(steps=[95], step_duration=3600, analysis=None, bounds=bounds)
    rollout = calc.deploy(adder(2, answer="unreachable"), strategy=strategy, wait=False)
    failed = 0
    for number in range(300):
        with contextlib.suppress(Trap):
            calc.call("add", number, 1)
            continue
        failed += 1
    assert failed == 4
    assert rollout.wait(50).state == "taken-back"


def test_a_slower_revision_is_taken_back(host, load):
    analysis = Analysis(alpha=0.01, min_calls=10**6, warm_up=20, baseline=200, slow=(0.9, 0.99))
    strategy = Canary(steps=[25, 50], step_duration=60, analysis=analysis, bounds=Bounds(past=None))
    calc = deployed(host, adder(1, loops=1000))
    for number in range(500):
        calc.call("add", number, 1)
    with load(calc) as books:
        rollout = calc.deploy(adder(2, loops=30_000_000), strategy=strategy, wait=False)
        status = rollout.wait(50)
    assert status.state == "taken-back"
    assert status.why.startswith("slow")
    assert not books.failed


def test_a_revision_that_is_as_fast_is_not_slow_where_few_calls_keep_it_warm(host, load):
    """At a share of one in a hundred every cache is cold; that is no evidence."""
    analysis = Analysis(alpha=0.01, min_calls=400, acceptable=0.05, warm_up=50, baseline=500)
    strategy = Canary(
        steps=[1, 50], step_duration=0.05, analysis=analysis, bounds=Bounds(past=None)
    )
    calc = deployed(host)
    for number in range(1000):
        calc.call("add", number, 1)
    with load(calc) as books:
        rollout = calc.deploy(adder(2), strategy=strategy, wait=False)
        while not rollout.status().over and rollout.status().calls[1] < 3000:
            pass
        status = rollout.status()
        with contextlib.suppress(RolloutOver):  # it may end meanwhile
            rollout.abort()
    assert status.state in {"running", "promoted"}, status.why
    assert not books.failed


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"\0asm\x0d\0\1\0garbage", InvalidComponent),
        (wants_rights(), UnknownImport),
        (adder(2, start="unreachable"), Trap),
    ],
    ids=["does not compile", "does not link", "does not start"],
)
def test_what_does_not_compile_link_or_start_changes_nothing(host, content, error):
    calc = deployed(host)
    with pytest.raises(error):
        calc.deploy(content, strategy=CANARY)
    assert calc.call("add", 1, 2) == 3
    assert len(calc.history()) == len(calc.rollouts()) == 1
    calc.deploy(adder(3))
    assert calc.call("version") == 3


def test_waiting_for_a_deploy_raises_what_says_why_it_was_taken_back(host, load):
    calc = deployed(host)
    with load(calc), pytest.raises(RolloutTakenBack, match="trapped in"):
        calc.deploy(adder(2, traps_every=3), strategy=CANARY)
    assert calc.deploy(adder(1)).revision.number == 1, "what is live is not deployed again"


def test_a_second_deploy_waits_for_nobody_and_is_told_of_the_first(host):
    calc = deployed(host)
    rollout = calc.deploy(adder(2), strategy=CANARY, wait=False)
    with pytest.raises(RolloutInProgress, match="moved to revision 2"):
        calc.deploy(adder(3))
    with pytest.raises(RolloutInProgress):
        calc.deploy(adder(3), strategy=CANARY)
    assert rollout.abort().state == "taken-back"
    assert calc.deploy(adder(3)).call("version") == 3
    with pytest.raises(RolloutOver):
        rollout.promote()


def test_a_person_pauses_resumes_weighs_and_promotes(host):
    calc = deployed(host)
    rollout = calc.deploy(adder(2), strategy=CANARY, wait=False)
    assert rollout.pause(why="lunch").why == "lunch"
    assert rollout.set_weight(95).weight == 0.95
    versions = [calc.call("version") for _ in range(400)]
    assert 340 <= versions.count(2) < 400
    assert rollout.resume().weight == 0.05
    assert rollout.promote(why="it is good").state == "promoted"
    assert {calc.call("version") for _ in range(50)} == {2}
    assert [step.kind for step in rollout.events()] == [
        "step",
        "paused",
        "weight",
        "resumed",
        "promoted",
    ]


def test_rolling_back_while_it_moves_takes_the_new_revision_back(host):
    calc = deployed(host)
    rollout = calc.deploy(adder(2), strategy=CANARY, wait=False)
    assert calc.rollback(why="no").number == 1
    assert rollout.status().state == "taken-back"
    assert {calc.call("version") for _ in range(50)} == {1}
    calc.deploy(adder(3))
    calc.deploy(adder(4), strategy=CANARY, wait=False)
    assert calc.rollback(to=1).number == 1
    assert calc.call("version") == 1


def test_a_removed_deployment_takes_its_rollout_with_it(host):
    calc = deployed(host)
    rollout = calc.deploy(adder(2), strategy=CANARY, wait=False)
    calc.remove()
    assert rollout.status().state == "taken-back"
    assert deployed(host).revision.number == 1


def test_a_rollout_goes_on_after_the_host_was_closed(host, state, load):
    calc = deployed(host)
    rollout = calc.deploy(adder(2), strategy=CANARY, wait=False)
    for number in range(50):
        calc.call("add", number, 1)
    before = rollout.status().calls
    host.close()
    with Host.open_blocking(state) as again:
        calc = again.deployment(NAME)
        rollout = calc.rollout()
        status = rollout.status()
        assert status.calls == before
        assert status.state == "running"
        with load(calc) as books:
            assert rollout.wait(50).state == "promoted"
        assert not books.failed
        assert calc.call("version") == 2
        kinds = [step.kind for step in rollout.events()]
        assert kinds[:3] == ["step", "closed", "recovered"]


def test_rolling_moves_a_share_after_the_other(host, load):
    calc = deployed(host)
    with load(calc) as books:
        calc.deploy(adder(2), strategy=Rolling(shares=4, step_duration=0.02))
    assert not books.failed
    assert calc.call("version") == 2
    steps = [step.weight for step in calc.rollout().events()]
    assert steps == [0.25, 0.5, 0.75, 1.0]


def test_the_first_revision_goes_live_at_once_whatever_the_strategy(host):
    calc = deployed(host)
    assert calc.deploy(adder(2), strategy=BlueGreen()).call("version") == 2
    assert calc.rollout().wait().state == "promoted"


def test_a_single_actor_cannot_take_a_share(host):
    text = deployed(host)
    with pytest.raises(StrategyUnsupported, match="takes calls, the other messages"):
        text.deploy(adder(2), strategy=CANARY, lifetime="actor")


def test_another_interface_is_caught_by_its_callers_failures(host):
    """The plan says so before; deployed all the same, both sides answer for themselves."""
    calc = deployed(host)
    rollout = calc.deploy(with_other_interface(2), strategy=CANARY, wait=False)
    rollout.set_weight(100)
    with pytest.raises(Exception, match="version"):
        calc.call("version")
    assert rollout.abort().state == "taken-back"
    assert calc.call("version") == 1


def test_recreate_never_runs_two_at_a_time(host, load):
    calc = deployed(host)
    with load(calc) as books:
        for version in itertools.islice(itertools.count(2), 5):
            calc.deploy(adder(version), strategy=Recreate(wait=30))
            assert calc.call("version") == version
    assert (books.failed, books.wrong) == ([], [])
