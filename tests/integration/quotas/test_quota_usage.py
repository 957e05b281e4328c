"""What was used is counted and can be read: by deployment, by namespace, by host."""

from __future__ import annotations

import logging

import pytest

from airssys.wasm import Ceilings, Host, HostCeilings, LimitExceeded, Limits
from airssys.wasm.actors import ActorSettings

JSON = ActorSettings(codec="json")
MIB = 2**20


async def test_the_statistics_of_actors_are_those_of_their_messages(state, guest):
    async with Host.open(state) as host:
        counter = await host.deploy(
            guest("counter-rust"), name="acme/counter", lifetime="actor", actor=JSON
        )
        for key in ("", "one"):
            for _ in range(5):
                await counter.actor(key).ask({"add": 1})
        found = counter.statistics()
        assert (found.calls, found.failures) == (10, 0)
        assert found.cpu_seconds > 0
        assert found.bytes_in == 10 * len(b"\x80\x04" + b'{"add":1}')
        assert found.memory_peak >= 64 * 2**10
        assert found.revisions[0].p99 > 0
        assert found.revisions[0].instances == 2
        assert found.memory == counter.usage().memory > 0
        used = counter.usage()
        assert (used.calls, used.messages, used.instances) == (0, 10, 2)
        assert used.bytes_in == found.bytes_in
        assert 0 < used.memory <= used.memory_peak
        await counter.deploy(guest("counter-rust"), why="again", limits=Limits(memory="32MiB"))
        await counter.actor("one").ask("get")
        assert [each.calls for each in counter.statistics().revisions] == [10, 1]
        assert counter.usage().messages == 11


def test_a_namespace_uses_what_its_deployments_do_also_those_that_are_gone(state, guest, provides):
    with Host.open_blocking(state, provides=provides) as host:
        calc = host.deploy(guest("calculator"), name="acme/calc")
        faults = host.deploy(guest("faults"), name="acme/faults")
        other = host.deploy(guest("faults"), name="other/faults")
        calc.call("add", 2, 3)
        faults.call("flood", 3, 1000)
        faults.call("compute", 1_000_000)
        other.call("drain", 1, 10)
        used = faults.usage()
        assert (used.calls, used.host_calls, used.messages) == (2, 3, 0)
        assert used.cpu_seconds > 0
        before = host.usage("acme")
        assert (before.calls, before.host_calls) == (3, 3)
        assert before.cpu_seconds == pytest.approx(calc.usage().cpu_seconds + used.cpu_seconds)
        faults.remove()
        after = host.usage("acme")
        assert (after.calls, after.host_calls) == (3, 3)
        assert after.cpu_seconds == pytest.approx(before.cpu_seconds)
        assert (host.usage().calls, host.usage("other").calls) == (4, 1)
        assert host.usage("nobody").calls == 0


async def test_what_is_stored_is_used(state, guest):
    async with Host.open(state) as host:
        store = await host.deploy(guest("key-value"), name="acme/store")
        assert store.usage().storage_bytes == 0
        await store.storage.set("key", b"x" * 997)
        assert store.usage().storage_bytes == 1000
        assert host.usage("acme").storage_bytes == host.usage().storage_bytes == 1000
        await store.remove()
        assert host.usage("acme").storage_bytes == 0


def test_four_fifths_of_a_limit_are_told_once(state, guest, provides, notices, caplog):
    caplog.set_level(logging.WARNING, "airssys.wasm.limits")
    ceilings = HostCeilings(namespaces={"acme": Ceilings(memory="50MiB")})
    with Host.open_blocking(state, provides=provides, ceilings=ceilings) as host:
        host.on_limit(notices)
        keeper = host.deploy(guest("faults"), name="acme/keeper", lifetime="pooled", instances=1)
        keeper.call("allocate", 20)
        assert notices.rest() == []
        for _ in range(25):
            keeper.call("allocate", 1)  # from 20 to 45 MiB: the crossing is at 40
        notice = notices.next("near", "memory")
        assert (notice.owner, notice.by) == ("namespace acme", "deployment acme/keeper")
        assert notice.configured == 50 * MIB
        with pytest.raises(LimitExceeded):
            keeper.call("allocate", 10)
        reached = notices.next("reached", "memory")
        assert (reached.owner, reached.by, reached.times) == (
            "namespace acme",
            "deployment acme/keeper",
            1,
        )
        assert notices.rest() == []
    told = [record.getMessage() for record in caplog.records]
    assert len([text for text in told if "four fifths" in text]) == 1
    assert len([text for text in told if "met " in text]) == 1


def test_an_instance_that_comes_near_to_its_own_memory_is_told(state, guest, provides, notices):
    with Host.open_blocking(state, provides=provides) as host:
        host.on_limit(notices)
        faults = host.deploy(guest("faults"), name="acme/faults", limits=Limits(memory="20MiB"))
        faults.call("allocate", 18)
        notice = notices.next("near", "memory")
        assert (notice.owner, notice.configured) == ("deployment acme/faults", 20 * MIB)


def test_what_an_instance_is_ended_for_is_counted_by_name(state, guest, provides, notices):
    bounds = Limits(memory="8MiB", cpu_per_call=0.05, open_handles=10, host_call_bytes="64KiB")
    with Host.open_blocking(state, provides=provides) as host:
        host.on_limit(notices)
        faults = host.deploy(guest("faults"), name="acme/faults", limits=bounds)
        for function, arguments in (
            ("memory-bomb", ()),
            ("spin", ()),
            ("handle-bomb", (100,)),
            ("flood", (1, 1 << 20)),
        ):
            with pytest.raises(LimitExceeded) as failure:
                faults.call(function, *arguments)
            assert failure.value.owner is None
        assert faults.usage().refused == {
            "memory": 1,
            "cpu_per_call": 1,
            "open_handles": 1,
            "host_call_bytes": 1,
        }
        assert notices.next("reached", "host_call_bytes").owner == "deployment acme/faults"


def test_a_listener_that_fails_or_leaves_disturbs_nobody(state, guest, notices, caplog):
    def fail(notice):
        raise RuntimeError("no")

    with Host.open_blocking(state, ceilings=HostCeilings(calls_per_second=1)) as host:
        left = []
        end = host.on_limit(left.append)
        end()
        host.on_limit(fail)
        host.on_limit(notices)
        calc = host.deploy(guest("calculator"), name="acme/calc")
        with pytest.raises(LimitExceeded):
            [calc.call("add", 2, 3) for _ in range(100)]
        assert notices.next("reached", "calls_per_second").owner == "host"
        assert left == []
    assert "a listener for limits failed" in caplog.text
