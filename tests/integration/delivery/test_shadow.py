"""Shadow traffic: copies of live calls on a new revision, without effects, unseen by callers."""

from __future__ import annotations

from pathlib import Path

import pytest
from delivery_guests import adder, wants_rights, with_other_interface

from airssys.osl.audit_log import read_records
from airssys.wasm import (
    Analysis,
    GuestError,
    Host,
    InvalidStrategy,
    Shadow,
    ShadowUnsafe,
    StrategyUnsupported,
)

NAME = "acme/calc"
COMPONENTS = Path(__file__).parents[3] / "build" / "components"
QUICK = Analysis(alpha=0.01, min_calls=100, acceptable=0.05, warm_up=0, baseline=10**9)
SHADOW = Shadow(share=100, step_duration=0.05, analysis=QUICK)
#: One answer in eight is another one.
DIFFERS = """
(i32.add (i32.add (local.get 0) (local.get 1))
         (i32.eqz (i32.and (global.get $calls) (i32.const 7))))
"""


def deployed(host, content=None, **settings):
    settings = {"lifetime": "pooled", "instances": 2} | settings
    return host.deploy(content or adder(1), name=NAME, **settings)


def evidence(status):
    return {each.signal: each for each in status.judgement.evidence}


def test_the_same_answers_promote_it_and_no_caller_saw_it_before(host, load):
    calc = deployed(host)
    with load(calc) as books:
        rollout = calc.deploy(adder(2), strategy=SHADOW, wait=False)
        assert calc.revision.number == 1
        status = rollout.wait(50)
    assert status.state == "promoted", status.why
    assert (books.failed, books.wrong) == ([], [])
    assert calc.call("version") == 2
    assert evidence(status)["answer"].bad == (0, 0)
    first, last = rollout.events()
    assert (first.kind, first.weight, last.kind, last.weight) == ("step", 1.0, "promoted", 1.0)
    assert last.judgement.verdict == "good"
    assert {stage.weight for stage in last.stages} == {0.5}
    assert all(stage.calls[0] == stage.calls[1] for stage in last.stages)
    # The copies are no calls of the deployment.
    new = next(each for each in calc.statistics().revisions if each.revision == 2)
    assert new.calls <= books.calls - status.calls[1] + 1


def test_another_answer_takes_it_back_and_the_live_answers_are_unchanged(host, load):
    calc = deployed(host)
    with load(calc) as books:
        rollout = calc.deploy(adder(2, answer=DIFFERS), strategy=SHADOW, wait=False)
        status = rollout.wait(50)
    assert status.state == "taken-back"
    assert status.why.startswith("answer: ")
    assert (books.failed, books.wrong) == ([], [])
    live, new = evidence(status)["answer"].bad
    assert (live, new > 5) == (0, True)
    assert calc.call("version") == 1
    assert calc.revision.number == 1


def test_a_copy_that_traps_takes_it_back_and_no_caller_sees_a_trap(host, load):
    calc = deployed(host)
    with load(calc) as books:
        rollout = calc.deploy(adder(2, traps_every=20), strategy=SHADOW, wait=False)
        status = rollout.wait(50)
    assert status.state == "taken-back"
    assert "trapped" in status.why
    assert (books.failed, books.wrong) == ([], [])


def test_a_revision_that_differs_from_itself_tells_against_neither(host, load):
    """Half of the answers depend on what an instance did before, in both alike."""
    # A bit of a hash, so that one answer tells nothing of the next.
    bit = "(i32.shr_u (i32.mul (global.get $calls) (i32.const 0x9e3779b1)) (i32.const 31))"
    changing = f"(i32.add (local.get 0) {bit})"
    calc = deployed(host, adder(1, answer=changing))
    with load(calc):
        rollout = calc.deploy(adder(2, answer=changing), strategy=SHADOW, wait=False)
        status = rollout.wait(50)
    assert status.state == "promoted", status.why
    live, new = evidence(status)["answer"].bad
    assert live > 10
    assert new > 10


def test_a_good_verdict_may_be_left_to_a_person(host, load):
    calc = deployed(host)
    strategy = Shadow(share=50, step_duration=0.05, analysis=QUICK, then="hold")
    with load(calc):
        rollout = calc.deploy(adder(2), strategy=strategy, wait=False)
        for step in rollout.events():
            if step.state == "held":
                break
        status = rollout.status()
        assert (status.state, status.weight) == ("held", 0.5)
        assert status.why.startswith("good: ")
        assert status.copies[0] > 0
        assert calc.call("version") == 1
        assert rollout.promote().state == "promoted"
    assert calc.call("version") == 2


def test_it_is_paused_steered_and_taken_back_by_hand(host, load):
    calc = deployed(host)
    strategy = Shadow(share=100, step_duration=3600, analysis=QUICK)
    with load(calc) as books:
        rollout = calc.deploy(adder(2), strategy=strategy, wait=False)
        assert rollout.set_weight(0).weight == 0
        stopped = rollout.status().copies
        after = books.calls + 50
        while books.calls < after:
            pass
        assert rollout.status().copies[0] <= stopped[0] + 4  # those that ran
        assert rollout.abort(why="enough").state == "taken-back"
    assert calc.call("version") == 1
    assert not books.failed


def test_functions_with_another_signature_are_left_out(host, load):
    calc = deployed(host)
    strategy = Shadow(share=100, step_duration=3600, analysis=QUICK)
    with load(calc) as books:
        rollout = calc.deploy(with_other_interface(2), strategy=strategy, wait=False)
        while rollout.status().copies[1] < 20:
            pass
        status = rollout.status()
        assert (status.copies[0], status.calls) == (0, (0, 0))
        rollout.abort()
    assert (books.failed, books.wrong) == ([], [])


def test_effects_of_copies_are_refused_and_on_record(host, state):
    """Every call asks for a connection; the copies of it do not get that far."""
    content = (COMPONENTS / "file-reader.wasm").read_bytes()
    reader = host.deploy(content, name="acme/reader")
    strategy = Shadow(share=100, step_duration=3600, analysis=QUICK)
    rollout = reader.deploy(content + b"\0\x05\x04more", strategy=strategy, wait=False)
    calls = 0
    while rollout.status().copies[0] < 20:
        calls += 1
        with pytest.raises(GuestError):
            reader.api.open_connection("127.0.0.1:9")
    copied = rollout.status().copies[0]
    rollout.abort()
    asked = [each for each in read_records(state / "audit") if each.operation == "network.connect"]
    refused = [each for each in asked if each.rule == "effect-free"]
    assert {each.decision for each in refused} == {"deny"}

    def count(records):
        return sum(max(1, each.count) for each in records)

    assert count(refused) >= 2 * copied
    assert count(asked) - count(refused) == calls


def test_what_cannot_be_kept_from_having_effects_is_refused(state):
    provides = {"acme:crm/contacts": {"read": lambda: 1}}
    with Host.open_blocking(state, provides=provides) as host:
        calc = deployed(host)
        with pytest.raises(ShadowUnsafe, match="acme:crm/contacts#read"):
            calc.deploy(wants_rights(), strategy=SHADOW)
        assert calc.call("version") == 1


def test_actors_have_no_shadow(host):
    content = (COMPONENTS / "counter-rust.wasm").read_bytes()
    counter = host.deploy(content, name="acme/counter", lifetime="actor")
    counter.actor()
    with pytest.raises(StrategyUnsupported, match="depends on the state of each"):
        counter.deploy(content + b"\0\x05\x04more", strategy=SHADOW)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [({"share": 0}, "share"), ({"share": 101}, "share"), ({"then": "canary"}, "then 'canary'")],
)
def test_a_wrong_shadow_is_refused(wrong, match):
    with pytest.raises(InvalidStrategy, match=match):
        Shadow(**wrong)


def test_a_shadow_goes_on_when_its_host_is_opened_again(state, load):
    with Host.open_blocking(state) as host:
        calc = deployed(host)
        calc.deploy(
            adder(2), strategy=Shadow(share=100, step_duration=0.05, analysis=QUICK), wait=False
        )
    with Host.open_blocking(state) as host:
        calc = host.deployment(NAME)
        assert calc.call("version") == 1
        with load(calc):
            assert calc.rollout().wait(50).state == "promoted"
        assert calc.call("version") == 2
