"""Deployments of lifetime `actor`: deploy, talk, crash, upgrade, roll back, remove, reopen."""

from __future__ import annotations

import asyncio
import logging

import pytest

from airssys.osl import Policy, Rule
from airssys.rt import (
    PERMANENT,
    ActorFailed,
    RequestDropped,
    SpawnFailed,
    Supervisor,
    System,
)
from airssys.wasm import DeploymentHeld, Host, Limits
from airssys.wasm.actors import ActorSettings, GuestRefused, Hooks
from airssys.wasm.codecs import CodecMismatch, PayloadTooLarge, UnknownCodec, ValueUnencodable
from airssys.wasm.host_errors import DeploymentIsActor, DeploymentIsNoActor

JSON = ActorSettings(codec="json")


def puppet(*actions):
    return {"do": list(actions)}


async def test_a_counter_is_deployed_asked_and_closed_with_its_host(state, guest):
    async with Host.open(state) as host:
        counter = await host.deploy(
            guest("counter-rust"), name="acme/counter", lifetime="actor", actor=JSON
        )
        ref = counter.actor()
        assert (ref.address, ref.deployment, ref.key) == ("acme/counter", "acme/counter", "")
        assert await ref.ask({"add": 2}) == 2
        ref.tell({"add": 3})
        assert await ref.ask("get") == 5
        assert (
            await host.deploy(
                guest("counter-rust"), name="acme/counter", lifetime="actor", actor=JSON
            )
        ).revision.number == 1
        assert await ref.ask("get") == 5  # nothing has changed
        with pytest.raises(DeploymentIsActor, match="takes messages"):
            await counter.call("add", 1)
        calc = await host.deploy(guest("calculator"), name="acme/calc")
        with pytest.raises(DeploymentIsNoActor, match="takes calls"):
            calc.actor()
    assert not ref.alive


async def test_keys_are_actors_of_their_own_and_come_back_with_the_host(state, guest):
    settings = ActorSettings(codec="json", config={"start": 100})
    async with Host.open(state) as host:
        counter = await host.deploy(
            guest("counter-rust"), name="acme/counter", lifetime="actor", actor=settings
        )
        first, second = counter.actor("one"), await counter.start("two/with slash")
        assert await first.ask({"add": 1}) == 101
        assert await second.ask({"add": 2}) == 102
        assert await counter.actor().ask("get") == 100
        assert counter.actor("one") == first
    async with Host.open(state) as host:  # state came by snapshot at the end, and restore
        counter = host.deployment("acme/counter")
        assert counter.held is None
        assert host.system.find("/deployments/acme.counter/one") is not None  # nobody asked for it
        assert await counter.actor("one").ask("get") == 101
        assert await counter.actor("two/with slash").ask("get") == 102


async def test_actors_of_a_revision_count_their_calls_together(state, guest):
    async with Host.open(state) as host:
        counter, other = [
            await host.deploy(guest("counter-rust"), name=name, lifetime="actor", actor=JSON)
            for name in ("acme/counter", "acme/other")
        ]
        one, two = await counter.start("one"), await counter.start("two")
        for ref in (one, two, two, await other.start("one")):
            assert await ref.ask("get") == 0
        # A deployment of the same parts is another revision all the same.
        assert [ref.place.native.statistics()["calls"] for ref in (one, two)] == [3, 3]


async def test_a_crash_restarts_it_with_its_mailbox_and_last_snapshot(state, guest):
    settings = ActorSettings(codec="json", snapshot_every=1.0)
    async with Host.open(state) as host:
        counter = await host.deploy(
            guest("counter-rust"), name="acme/counter", lifetime="actor", actor=settings
        )
        ref = counter.actor()
        ref.tell({"add": 7})
        await asyncio.sleep(1.5)  # of virtual time: the snapshot is taken
        ref.tell({"add": 1})  # after the snapshot: lost with the crash
        with pytest.raises(ActorFailed):
            await ref.ask({"divide": 0})
        assert await ref.ask("get") == 7
        assert host.system.inspect(ref).restarts == 1
        (reason,) = set(host.system.dead_letters.reasons())
        assert reason == "failed"


async def test_a_crash_loop_is_held_with_the_reason_and_deployed_again(state, guest, caplog):
    async with Host.open(state) as host:
        counter = await host.deploy(
            guest("counter-rust"),
            name="acme/counter",
            lifetime="actor",
            actor=ActorSettings(codec="json", burst=2),
        )
        other = await host.deploy(
            guest("counter-rust"), name="acme/other", lifetime="actor", actor=JSON
        )
        ref = counter.actor()
        with caplog.at_level(logging.ERROR, "airssys.wasm"):
            for _ in range(3):
                with pytest.raises(ActorFailed):
                    await ref.ask({"divide": 0})
            await ref.ended()
            await asyncio.sleep(0.1)
        assert "more than 2 restarts in 5.0 s" in counter.held
        assert "trap" in counter.held.lower()
        assert "held" in caplog.text
        with pytest.raises(DeploymentHeld, match="more than 2 restarts"):
            counter.actor()
        assert await other.actor().ask({"add": 1}) == 1  # nobody else is disturbed
        counter = await host.deploy(
            guest("counter-rust"), name="acme/counter", lifetime="actor", actor=JSON
        )
        assert await counter.actor().ask({"add": 1}) == 1


async def test_an_upgrade_keeps_the_mailbox_and_hands_state_over(state, guest):
    async with Host.open(state) as host:
        counter = await host.deploy(
            guest("counter-rust"), name="acme/counter", lifetime="actor", actor=JSON
        )
        ref = counter.actor()
        ref.tell({"add": 5})
        host.system.suspend(ref)
        for _ in range(10):
            ref.tell({"add": 1})
        host.system.resume(ref)
        again = ActorSettings(codec="json", health_failures=5)
        counter = await counter.deploy(guest("counter-rust"), actor=again)
        assert counter.revision.number == 2
        assert counter.actor() == ref
        assert await ref.ask("get") == 15
        assert host.system.inspect(ref).books.dead == 0


async def test_a_revision_that_does_not_start_leaves_everything_as_it_was(state, guest):
    async with Host.open(state) as host:
        counter = await host.deploy(
            guest("counter-rust"), name="acme/counter", lifetime="actor", actor=JSON
        )
        ref = counter.actor()
        ref.tell({"add": 5})
        bad = ActorSettings(codec="json", config={"nonsense": 1})
        with pytest.raises(Exception, match="no such setting"):
            await counter.deploy(guest("counter-rust"), actor=bad)
        assert counter.revision.number == 1
        assert await ref.ask("get") == 5
        with pytest.raises(SpawnFailed, match="no such setting"):
            await host.deploy(guest("counter-rust"), name="acme/new", lifetime="actor", actor=bad)
        assert [one.name for one in host.deployments()] == ["acme/counter"]


async def test_rollback_and_remove(state, guest):
    async with Host.open(state) as host:
        counter = await host.deploy(
            guest("counter-rust"), name="acme/counter", lifetime="actor", actor=JSON
        )
        ref = counter.actor()
        await counter.deploy(guest("counter-rust"), actor=ActorSettings(codec="json", burst=9))
        ref.tell({"add": 4})
        assert (await counter.rollback()).number == 1
        assert await ref.ask("get") == 4
        await counter.remove()
        assert not ref.alive
        with pytest.raises(RequestDropped):
            await ref.ask("get")
        fresh = await host.deploy(
            guest("counter-rust"), name="acme/counter", lifetime="actor", actor=JSON
        )
        assert await fresh.actor().ask("get") == 0  # the snapshot went with the deployment


async def test_a_lifetime_can_change_with_a_revision(state, guest):
    async with Host.open(state) as host:
        one = await host.deploy(guest("calculator"), name="acme/one")
        assert await one.call("add", 2, 3) == 5
        one = await one.deploy(guest("counter-rust"), lifetime="actor", actor=JSON)
        assert await one.actor().ask({"add": 1}) == 1
        await one.rollback()
        assert await one.call("add", 2, 3) == 5
        with pytest.raises(DeploymentIsNoActor):
            one.actor()


async def test_a_component_stands_in_a_tree_of_the_program(state, guest):
    async with System("program") as system, Host.open(state, system=system) as host:
        counter = await host.deploy(
            guest("counter-rust"), name="acme/counter", lifetime="actor", actor=JSON
        )
        top = await system.start(
            Supervisor("mine", children=[counter.child("count", "mine", restart=PERMANENT)])
        )
        ref = top.child("count")
        assert await ref.ask({"add": 1}) == 1
        assert counter.actor("mine") == ref
        with pytest.raises(ActorFailed):
            await ref.ask({"divide": 0})
        assert await ref.ask("get") == 0
        await top.stop()
        assert not ref.alive


class Recorder(Hooks):
    def __init__(self):
        self.calls = []

    async def before_start(self, ref):
        self.calls.append("before_start")

    async def after_start(self, ref):
        self.calls.append("after_start")

    async def before_stop(self, ref, reason):
        self.calls.append("before_stop")

    async def after_stop(self, ref, reason):
        self.calls.append("after_stop")
        if reason.kind == "shutdown":
            raise ValueError("reported, and nothing else")

    async def on_error(self, ref, error, message):
        self.calls.append("on_error")
        assert message == b'\x80\x04{"divide":0}'

    async def before_restart(self, ref, reason):
        self.calls.append("before_restart")

    async def after_restart(self, ref):
        self.calls.append("after_restart")


async def test_hooks_are_called_at_the_turns_of_life(state, guest):
    hooks = Recorder()
    async with Host.open(state) as host:
        counter = await host.deploy(
            guest("counter-rust"), name="acme/counter", lifetime="actor", actor=JSON, hooks=hooks
        )
        with pytest.raises(ActorFailed):
            await counter.actor().ask({"divide": 0})
        await counter.actor().ask("get")
    assert hooks.calls == [
        "before_start",
        "after_start",
        "on_error",
        "after_stop",
        "before_restart",
        "before_start",
        "after_start",
        "after_restart",
        "before_stop",
        "after_stop",
    ]


async def test_payloads_that_do_not_fit_fail_where_they_are_sent(state, guest):
    settings = ActorSettings(codec="json", accepts=("json", "cbor"), message_size="1KiB")
    async with Host.open(state) as host:
        counter = await host.deploy(
            guest("counter-rust"), name="acme/counter", lifetime="actor", actor=settings
        )
        ref = counter.actor()
        with pytest.raises(CodecMismatch) as mismatch:
            ref.tell(b"\x55raw bytes")
        assert (mismatch.value.offered, set(mismatch.value.accepted)) == (
            ("raw",),
            {"json"},
        )
        for bad in (b"", b"\xff", b"\x80"):
            with pytest.raises(UnknownCodec):
                ref.tell(bad)
        with pytest.raises(PayloadTooLarge):
            ref.tell("x" * 2000)
        with pytest.raises(PayloadTooLarge):
            ref.tell(b"\x80\x04" + b"x" * 2000)
        with pytest.raises(ValueUnencodable):
            ref.tell(object())
        with pytest.raises(ValueUnencodable):
            await ref.ask(object())
        assert await ref.ask(b'\x80\x04{"add":2}') == 2  # a payload passes as it is
        books = host.system.inspect(ref).books
        assert (books.accepted, books.asked) == (1, 1)


async def test_what_guests_log_reaches_python(state, guest, caplog):
    everything = ActorSettings(codec="json")
    async with Host.open(state) as host:
        actor = await host.deploy(
            guest("actor-puppet"), name="acme/puppet", lifetime="actor", actor=everything
        )
        with caplog.at_level(logging.INFO, "airssys.guest"):
            await actor.actor("k").ask(
                puppet(
                    ["log", "warning", "something", {"a": "b"}],
                    ["print", "to stdout"],
                    ["print-error", "to stderr"],
                )
            )
            await asyncio.sleep(0.1)
            lines = actor.logs()
        assert [(one.message, one.level, one.stream) for one in lines] == [
            ("something", "warning", "log"),
            ("to stdout", "info", "stdout"),
            ("to stderr", "warning", "stderr"),
        ]
        assert (lines[0].fields, lines[0].key, lines[0].revision) == ({"a": "b"}, "k", 1)
        assert actor.logs(level="warning") == (lines[0], lines[2])
    assert "something" in caplog.text


async def test_lines_of_wasi_logging_are_lines_like_others(state, guest):
    everything = ActorSettings(codec="json")
    deny = Rule(name="mute", effect="deny", to=("acme/mute",), access=("use",), kind="log")
    async with Host.open(state, policy=Policy(rules=(deny,))) as host:
        actor = await host.deploy(guest("actor-puppet"), name="acme/puppet", actor=everything)
        says = puppet(
            ["wasi-log", "warn", "start", "careful"],
            ["wasi-log", "trace", "", "fine"],
            ["wasi-log", "critical", "end", "gone"],
        )
        await actor.actor().ask(says)
        mute = await host.deploy(guest("actor-puppet"), name="acme/mute", actor=everything)
        await mute.actor().ask(says)
        # Lines come in order, whoever wrote them.
        await actor.actor().ask(puppet(["log", "info", "last", {}]))
        while not (lines := actor.logs()) or lines[-1].message != "last":
            await asyncio.sleep(0.01)
        assert [(one.message, one.level, one.fields) for one in lines] == [
            ("careful", "warning", {"context": "start"}),
            ("fine", "trace", {}),
            ("gone", "error", {"context": "end", "level": "critical"}),
            ("last", "info", {}),
        ]
        assert mute.logs() == ()


def test_the_blocking_host_has_actors_too(state, guest):
    with Host.open_blocking(state) as host:
        counter = host.deploy(
            guest("counter-rust"), name="acme/counter", lifetime="actor", actor=JSON
        )
        actor = counter.actor()
        actor.tell({"add": 2})
        assert actor.ask({"add": 3}) == 5
        with pytest.raises(ActorFailed):
            actor.ask({"divide": 0})
        assert actor.ask("get") == 0
        actor.ask({"add": 2**63 - 1})
        with pytest.raises(GuestRefused, match="too large"):
            actor.ask({"add": 1})
        assert actor.stop().kind == "shutdown"
        assert not actor.alive
        assert actor.inspect().books.dead_by_reason == {"failed": 1}
        assert counter.actor().ask("get") == 2**63 - 1  # its snapshot


def test_actors_come_back_after_a_kill_of_the_host(state, guest):
    import subprocess
    import sys
    import textwrap

    script = """
        import os, sys
        from airssys.wasm import Host
        from airssys.wasm.actors import ActorSettings
        host = Host.open_blocking(sys.argv[1])
        counter = host.deploy(sys.argv[2], name="acme/counter", lifetime="actor",
                              actor=ActorSettings(codec="json"))
        counter.actor("k").ask({"add": 5})
        os.kill(os.getpid(), 9)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(state), str(guest("counter-rust"))],
        timeout=50,
        check=False,
    )
    assert done.returncode == -9
    with Host.open_blocking(state) as host:
        counter = host.deployment("acme/counter")
        assert counter.held is None
        assert counter.actor("k").ask("get") == 0  # no snapshot was due


@pytest.mark.timeout(180)  # a Python guest takes long to compile where it is not cached
async def test_a_conversation_through_three_languages(state, guest):
    """Rust asks JavaScript, which asks Python, which keeps the value."""
    async with Host.open(state) as host:
        limits = Limits(memory="256MiB")
        await host.deploy(
            guest("keeper-python"),
            name="demo/keeper",
            lifetime="actor",
            limits=limits,
            actor=ActorSettings(codec="json", start_timeout=30.0),
        )
        await host.deploy(
            guest("transformer-js"),
            name="demo/transformer",
            lifetime="actor",
            limits=limits,
            actor=ActorSettings(
                codec="json",
                config={"next": "demo/keeper"},
                start_timeout=30.0,
            ),
            capabilities={"messaging": [{"ask": "demo/keeper"}]},
            grant="requested",
        )
        asker = await host.deploy(
            guest("asker-rust"),
            name="demo/asker",
            lifetime="actor",
            actor=ActorSettings(
                codec="json",
                config={"target": "demo/transformer"},
            ),
            capabilities={"messaging": [{"ask": "demo/transformer"}]},
            grant="requested",
        )
        ref = asker.actor()
        await ref.ask({"put": {"key": "k", "value": "hello"}}, 10.0)
        for request in ({"get": "k"}, {"later": {"get": "k"}}):
            answer = await ref.ask(request, 10.0)
            assert answer == {
                "value": "HELLO",
                "path": ["keeper (Python)", "transformer (JavaScript)", "asker (Rust)"],
            }
        with pytest.raises(GuestRefused, match="nothing is kept under nobody"):
            await ref.ask({"get": "nobody"}, 10.0)
