"""Recorded calls are made again on a new revision before it goes live, without effects."""

from __future__ import annotations

import json
import threading

import msgspec
import pytest
from delivery_guests import adder, wants_rights, with_other_interface

from airssys.wasm import (
    BlueGreen,
    Host,
    InvalidSetting,
    Recreate,
    Replay,
    ReplayDiffers,
    ReplayReport,
    ShadowUnsafe,
)
from airssys.wasm.settings import settings_changed

NAME = "acme/calc"
#: What tells a version tells another one.
REPLAY = Replay(ignore=["version"])
WRONG = "(i32.add (i32.add (local.get 0) (local.get 1)) (i32.gt_u (local.get 0) (i32.const 6)))"


def deployed(host, content=None, **settings):
    settings = {"lifetime": "pooled", "instances": 2, "replay": REPLAY} | settings
    return host.deploy(content or adder(1), name=NAME, **settings)


def planned(host, content, calc):
    return host.plan(content, name=NAME, settings=calc.revision.settings, inherited=True)


@pytest.fixture
def replayed():
    """Hear of the replays of a host: the revision, and how many calls were answered how."""

    def listen(host):
        heard = []

        def hear(event):
            if event.kind == "replayed":
                facts = event.facts
                heard.append((facts["revision"], facts["same"], facts["different"]))

        host._core.events.listen(hear)
        return heard

    return listen


def test_a_revision_that_answers_recorded_calls_otherwise_is_refused(host):
    calc = deployed(host)
    for number in range(10):
        assert calc.call("add", number, 1) == number + 1
    with pytest.raises(ReplayDiffers) as refused:
        calc.deploy(adder(2, answer=WRONG))
    assert "3 of 10 recorded calls are answered otherwise" in str(refused.value)
    assert "add(7, 1) gives 9, and gave 8" in str(refused.value)
    assert calc.revision.number == 1
    assert calc.call("version") == 1
    # What answers alike goes live, and so does what is not to be refused.
    calc.deploy(adder(2))
    assert calc.call("version") == 2
    with pytest.raises(ReplayDiffers, match=r"version\(\) gives 3, and gave 2"):
        calc.deploy(adder(3), replay=Replay())
    calc.deploy(adder(3, answer=WRONG), replay=Replay(on_difference="warn"))
    assert calc.call("version") == 3


@pytest.mark.parametrize("strategy", [BlueGreen(), Recreate()])
def test_a_refused_revision_leaves_the_live_one_at_work(host, strategy):
    calc = deployed(host)
    calls, over = [calc.call("add", 9, 1)], threading.Event()

    def work():
        while not over.is_set():
            calls.append(calc.call("add", 9, 1))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        with pytest.raises(ReplayDiffers):
            calc.deploy(adder(2, answer=WRONG), strategy=strategy)
    finally:
        over.set()
        worker.join(30)
    assert set(calls) == {10}


def test_a_plan_tells_of_the_calls_that_differ_and_changes_nothing(host):
    calc = deployed(host)
    for number in range(10):
        calc.call("add", number, 1)
    before = calc.statistics().calls
    plan = planned(host, adder(2, answer=WRONG), calc)
    assert not plan.possible
    report = plan.replay
    assert (report.same, report.different, report.unrepeatable, report.left_out) == (7, 3, 0, 0)
    first = report.first[0]
    assert (first.function, first.arguments) == ("add", "7, 1")
    assert (first.expected, first.got) == ("8", "9")
    # As another process gets it.
    assert msgspec.json.decode(msgspec.json.encode(report), type=ReplayReport) == report
    good = planned(host, adder(2), calc)
    assert (good.possible, good.replay.same) == (True, 10)
    assert calc.statistics().calls == before


def test_a_call_that_traps_on_the_new_revision_differs(host):
    calc = deployed(host)
    calc.call("add", 1, 1)
    report = planned(host, adder(2, traps_every=1), calc).replay
    assert report.different == 1
    assert "trap" in report.first[0].got


def test_what_the_live_revision_does_not_repeat_tells_nothing(host):
    """The answer counts the calls of an instance, and those of a replay are fresh."""
    counting = "(i32.add (local.get 0) (global.get $calls))"
    calc = deployed(host, adder(1, answer=counting), instances=1)
    for _ in range(5):
        calc.call("add", 0, 0)
    report = planned(host, adder(2, answer="(i32.const 77)"), calc).replay
    # The first call was that of a fresh instance; in the replay the later ones are so too.
    assert report.unrepeatable + report.different == 5
    assert calc.deploy(adder(2, answer=counting)).call("version") == 2


def test_what_was_recorded_serves_the_revision_after_the_next(host):
    calc = deployed(host)
    calc.call("add", 7, 1)
    calc.deploy(adder(2))
    with pytest.raises(ReplayDiffers):
        calc.deploy(adder(3, answer=WRONG))
    calc.deploy(adder(3, answer=WRONG), replay=Replay(on_difference="warn"))
    # It is what the live revision answers now that counts.
    report = planned(host, adder(4, answer=WRONG), calc).replay
    assert (report.same, report.different) == (1, 0)
    assert planned(host, adder(4), calc).replay.different == 1


def test_functions_with_another_signature_are_left_out(host):
    calc = deployed(host)
    calc.call("add", 1, 1)
    calc.call("version")
    report = planned(host, with_other_interface(2), calc).replay
    assert (report.same, report.different, report.left_out) == (0, 0, 1)


def test_the_latest_calls_are_kept_within_their_bounds(host):
    calc = deployed(host, replay=Replay(calls=3))
    for number in range(10):
        calc.call("add", number, 1)
    assert planned(host, adder(2, answer=WRONG), calc).replay.different == 3
    recording = calc._serving._recording
    assert recording.holds[0] == 3
    # 256 bytes are counted for each call beside its arguments.
    calc.deploy(adder(2), replay=Replay(bytes=1000))
    for number in range(10):
        calc.call("add", number, 1)
    calls, size, left_out = calc._serving._recording.holds
    assert 0 < calls < 4
    assert left_out == 0
    assert size <= 1000


def test_a_share_of_the_calls_is_kept(host):
    calc = deployed(host, replay=Replay(share=10, calls=1000))
    for number in range(1000):
        calc.call("add", number, 1)
    # Nine standard deviations about a hundred.
    assert 10 < calc._serving._recording.holds[0] < 190


def test_nothing_is_kept_unless_it_is_asked_for(host, replayed):
    heard = replayed(host)
    calc = deployed(host, replay=None)
    calc.call("add", 7, 1)
    assert calc._serving._recording is None
    assert planned(host, adder(2, answer=WRONG), calc).replay is None
    calc.deploy(adder(2, answer=WRONG))
    calc.deploy(adder(3), replay=Replay())
    calc.call("add", 7, 1)
    calc.deploy(adder(4, answer=WRONG), replay=Replay(calls=0))
    assert calc._serving._recording is None
    assert heard == []


def test_it_goes_on_when_the_host_is_opened_again(state, replayed):
    with Host.open_blocking(state) as host:
        deployed(host)
    with Host.open_blocking(state) as host:
        heard = replayed(host)
        calc = host.deployment(NAME)
        assert calc.revision.settings.replay == REPLAY
        calc.call("add", 7, 1)
        with pytest.raises(ReplayDiffers):
            calc.deploy(adder(2, answer=WRONG))
        assert heard == [(2, 0, 1)]


def test_what_recorded_calls_store_is_seen_by_none_but_themselves(host, guest):
    content = guest("key-value").read_bytes()
    keeper = host.deploy(
        content,
        name="acme/keeper",
        grant="requested",
        capabilities={
            "storage": [{"namespace": "self", "access": ["read", "write", "delete", "list"]}]
        },
        replay=Replay(),
    )
    for number in range(5):
        keeper.api.standard_set(f"key/{number}", b"value")
    keeper.api.keys("key/", 3)
    after = content + b"\0\x05\x04more"
    plan = host.plan(after, name="acme/keeper", settings=keeper.revision.settings, inherited=True)
    assert (plan.replay.same, plan.replay.different, plan.replay.left_out) == (6, 0, 0)
    for number in range(5):
        keeper.api.standard_delete(f"key/{number}")
    # Each call is made over what is stored now, within what the new revision may store.
    less = settings_changed(keeper.revision.settings, limits={"storage": 8})
    report = host.plan(after, name="acme/keeper", settings=less, inherited=True).replay
    assert (report.different, report.unrepeatable) == (5, 0)
    assert {each.function for each in report.first} == {"standard-set"}
    assert host.storage.namespace("acme/keeper").usage().keys == 0
    version = keeper.api.set("key/4", b"value", None)
    keeper.deploy(after)
    assert keeper.revision.number == 2
    assert keeper.api.get_versioned("key/4").version == version


def teller(first: int, version: int) -> bytes:
    """Return a component that takes a password and a word, and gives one of them back."""
    return f"""
    (component
      (core module $m
        (memory (export "memory") 1)
        (global $end (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
          (local $at i32)
          (local.set $at (global.get $end))
          (global.set $end (i32.add (global.get $end) (i32.add (local.get 3) (i32.const 8))))
          (local.get $at))
        (func (export "version") (result i32) (i32.const {version}))
        (func (export "tell") (param i32 i32 i32 i32) (result i32)
          (i32.store (i32.const 0) (local.get {first}))
          (i32.store (i32.const 4) (local.get {first + 1}))
          (i32.const 0)))
      (core instance $i (instantiate $m))
      (func (export "version") (result u32) (canon lift (core func $i "version")))
      (func (export "tell") (param "password" string) (param "word" string) (result string)
        (canon lift (core func $i "tell") (memory $i "memory")
          (realloc (func $i "realloc")))))
    """.encode()


def test_secrets_are_not_shown_and_values_are_shortened(state):
    with Host.open_blocking(state, secrets={"KEY": "open sesame"}) as host:
        calc = host.deploy(teller(2, 1), name=NAME, replay=Replay())
        assert calc.call("tell", "hunter2", "say open sesame") == "say open sesame"
        calc.call("tell", "hunter2", "long " * 100)
        report = planned(host, teller(0, 2), calc).replay
        assert report.different == 2
        said = json.dumps(msgspec.to_builtins(report.first))
        assert "open sesame" not in said
        assert report.first[0].arguments == '***, "say ***"'
        assert report.first[0].expected == '"say ***"'
        assert len(report.first[1].expected) == 121


def test_what_calls_host_functions_is_not_replayed(state):
    provides = {"acme:crm/contacts": {"read": lambda: 1}}
    with (
        Host.open_blocking(state, provides=provides) as host,
        pytest.raises(ShadowUnsafe, match="acme:crm/contacts#read"),
    ):
        host.deploy(wants_rights(), name=NAME, replay=Replay())


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"calls": -1}, "calls"),
        ({"share": 0}, "share"),
        ({"bytes": "1GiB"}, "bytes"),
        ({"bytes": "many"}, "bytes"),
        ({"seconds": 0}, "seconds"),
        ({"ignore": "version"}, "ignore"),
        ({"on_difference": "ask"}, "on_difference 'ask'"),
    ],
)
def test_a_wrong_replay_is_refused(wrong, match):
    with pytest.raises(InvalidSetting, match=match):
        Replay(**wrong)


def test_actors_have_no_replay(host, guest):
    with pytest.raises(InvalidSetting, match="depends on the state"):
        host.deploy(guest("counter-rust"), name="acme/counter", lifetime="actor", replay=Replay())
