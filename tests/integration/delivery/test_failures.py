"""Revisions and operators that do what they should not, while calls go on."""

from __future__ import annotations

import contextlib
import threading

from delivery_guests import adder

from airssys.wasm import (
    Analysis,
    Bounds,
    Canary,
    LimitExceeded,
    Limits,
    NothingToRollBackTo,
    RolloutInProgress,
)

NAME = "acme/calc"
QUICK = Analysis(alpha=0.01, min_calls=200, acceptable=0.05, warm_up=20, baseline=200, slow=())
CANARY = Canary(
    steps=[25, 50], step_duration=30, analysis=QUICK, bounds=Bounds(traps=None, past=None)
)


def test_a_revision_that_leaks_is_taken_back_when_it_meets_its_limit(host, load):
    """Every call keeps 64 KiB; an instance has room for sixteen times that."""
    calc = host.deploy(
        adder(1), name=NAME, lifetime="pooled", instances=2, limits=Limits(memory="1MiB")
    )
    with load(calc) as books:
        rollout = calc.deploy(adder(2, grows=True), strategy=CANARY, wait=False)
        status = rollout.wait(50)
    assert status.state == "taken-back", status.why
    assert {type(error) for error in books.failed} == {LimitExceeded}
    assert len(books.failed) / books.calls < 0.05
    assert not books.wrong
    assert calc.call("version") == 1


def test_of_two_deploys_at_once_one_moves_it_and_the_other_is_told(host, load):
    calc = host.deploy(adder(1), name=NAME, lifetime="pooled", instances=2)
    together, begun, told = threading.Barrier(2), [], []

    def deploy(number):
        together.wait()
        try:
            begun.append(calc.deploy(adder(number), strategy=CANARY, wait=False))
        except RolloutInProgress as error:
            told.append(error)

    with load(calc) as books:
        threads = [threading.Thread(target=deploy, args=(number,)) for number in (2, 3)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert (len(begun), len(told)) == (1, 1)
        begun[0].abort()
    assert (books.failed, books.wrong) == ([], [])
    assert calc.revision.number == 1
    # What was refused left nothing behind.
    assert [each.number for each in calc.history()] == [1, 2]


def test_deploys_during_rollbacks_come_one_after_another_and_lose_no_call(host, load):
    calc = host.deploy(adder(1), name=NAME, lifetime="pooled", instances=2)
    calc.deploy(adder(2))
    done = threading.Event()

    def back():
        while not done.is_set():
            with contextlib.suppress(NothingToRollBackTo):  # at the first revision again
                calc.rollback()

    with load(calc) as books, contextlib.ExitStack() as ending:
        thread = threading.Thread(target=back)
        thread.start()
        ending.callback(thread.join)
        ending.callback(done.set)
        for number in range(10, 40):
            calc.deploy(adder(number))
    assert (books.failed, books.wrong) == ([], [])
    history = calc.history()
    assert [each.number for each in history] == list(range(1, len(history) + 1))
    assert len(history) == 32
    live = calc.revision.number
    assert calc.rollouts()[-1].to_revision == live
    expected = live if live < 3 else live + 7
    assert calc.call("version") == expected
