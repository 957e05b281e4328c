"""Ceilings of deployments, namespaces and hosts: who meets one learns whose it is; others go on."""

from __future__ import annotations

import asyncio
import threading

import pytest

from airssys.wasm import Ceilings, Host, HostCeilings, InvalidSetting, LimitExceeded, Limits

MIB = 2**20
ROOMY = Limits(memory="256MiB")


def assert_ceiling(error: LimitExceeded, limit: str, configured: float, owner: str) -> None:
    assert (error.limit, error.configured, error.owner) == (limit, configured, owner)
    assert error.component.startswith("sha256:")
    assert owner in str(error)


@pytest.mark.parametrize("owner", ["deployment evil/bomb", "namespace evil", "host"])
def test_a_ceiling_on_memory_fails_the_call_and_no_other(state, guest, provides, owner):
    small = Ceilings(memory="24MiB")
    ceilings = HostCeilings(
        memory="24MiB" if owner == "host" else "8GiB",
        namespaces={"evil": small} if owner == "namespace evil" else {},
    )
    with Host.open_blocking(state, provides=provides, ceilings=ceilings) as host:
        neighbour = host.deploy(guest("calculator"), name="good/calc")
        bomb = host.deploy(
            guest("faults"),
            name="evil/bomb",
            limits=ROOMY,
            ceilings=small if owner == "deployment evil/bomb" else None,
        )
        assert bomb.call("allocate", 8) == 8
        for _ in range(3):
            with pytest.raises(LimitExceeded) as failure:
                bomb.call("allocate", 32)
            assert_ceiling(failure.value, "memory", 24 * MIB, owner)
            assert failure.value.call == "allocate"
            assert neighbour.call("add", 2, 3) == 5
        used = bomb.usage()
        assert used.memory == 0  # what a failed call held is free again
        assert 8 * MIB < used.memory_peak <= 24 * MIB
        assert used.refused == {"memory": 3}
        assert host.usage("good").refused == {}
        assert neighbour.statistics().failures == 0


def test_a_ceiling_counts_what_all_hold_together(state, guest, provides):
    """Pooled instances keep their memory: what one holds the other cannot have."""
    tenant = HostCeilings(namespaces={"acme": Ceilings(memory="48MiB")})
    with Host.open_blocking(state, provides=provides, ceilings=tenant) as host:
        one, other = (
            host.deploy(
                guest("faults"), name=f"acme/{name}", lifetime="pooled", instances=1, limits=ROOMY
            )
            for name in ("one", "other")
        )
        assert one.call("allocate", 30) == 30
        with pytest.raises(LimitExceeded) as failure:
            other.call("allocate", 30)
        assert_ceiling(failure.value, "memory", 48 * MIB, "namespace acme")
        assert one.usage().memory > 30 * MIB
        one.remove()
        assert other.call("allocate", 30) == 30
        assert host.usage("acme").memory == other.usage().memory == host.usage().memory


def test_a_ceiling_on_instances_bounds_calls_at_a_time(state, guest):
    """Each call in flight is an instance; the third of three at a time finds no room."""
    inside, go = threading.Semaphore(0), threading.Event()

    def push(data: bytes) -> None:
        inside.release()
        assert go.wait(20)

    provides = {"demo:faults/sink": {"push": push, "pull": bytes}}
    tenant = HostCeilings(namespaces={"acme": Ceilings(instances=2)})
    with Host.open_blocking(state, provides=provides, ceilings=tenant) as host:
        held = host.deploy(guest("faults"), name="acme/held")
        neighbour = host.deploy(guest("calculator"), name="good/calc")
        calls = [threading.Thread(target=held.call, args=("flood", 1, 1)) for _ in range(2)]
        for call in calls:
            call.start()
        for _ in calls:
            assert inside.acquire(timeout=20)
        with pytest.raises(LimitExceeded) as failure:
            held.call("count")
        assert_ceiling(failure.value, "instances", 2, "namespace acme")
        assert neighbour.call("add", 2, 3) == 5
        assert (held.usage().instances, held.usage().instances_peak) == (2, 2)
        go.set()
        for call in calls:
            call.join()
        assert held.call("count") == 1
        assert held.usage().instances == 0


@pytest.mark.parametrize("owner", ["deployment evil/calc", "namespace evil", "host"])
def test_calls_faster_than_they_may_are_refused_and_cost_nothing(state, guest, owner):
    pace = 20
    slow = Ceilings(calls_per_second=pace)
    ceilings = HostCeilings(
        calls_per_second=pace if owner == "host" else None,
        namespaces={"evil": slow} if owner == "namespace evil" else {},
    )
    with Host.open_blocking(state, ceilings=ceilings) as host:
        calc = host.deploy(
            guest("calculator"),
            name="evil/calc",
            ceilings=slow if owner == "deployment evil/calc" else None,
        )
        neighbour = host.deploy(guest("calculator"), name="good/calc")
        refused: list[LimitExceeded] = []
        answered = 0
        while len(refused) < 5:  # faster than 20 a second in any case
            try:
                assert calc.call("add", 2, 3) == 5
                answered += 1
            except LimitExceeded as error:
                refused.append(error)
        assert_ceiling(refused[0], "calls_per_second", pace, owner)
        assert refused[0].call == "add"
        assert answered >= pace // 2
        assert calc.usage().refused == {"calls_per_second": 5}
        assert calc.usage().calls == answered  # what was refused was no call
        if owner != "host":
            assert [neighbour.call("add", 1, 1) for _ in range(100)] == [2] * 100
            assert neighbour.usage().refused == {}


async def test_an_awaited_call_meets_a_rate_before_it_begins(state, guest):
    async with Host.open(state, ceilings=HostCeilings(calls_per_second=1)) as host:
        calc = await host.deploy(guest("calculator"), name="acme/calc")
        assert await calc.call("add", 2, 3) == 5
        with pytest.raises(LimitExceeded) as failure:
            await asyncio.gather(*(calc.call("add", 2, 3) for _ in range(100)))
        assert_ceiling(failure.value, "calls_per_second", 1, "host")


async def test_an_actor_beyond_the_ceiling_does_not_start(state, guest):
    async with Host.open(state) as host:
        counter = await host.deploy(
            guest("counter-rust"),
            name="acme/counter",
            lifetime="actor",
            ceilings=Ceilings(instances=2),
        )
        await counter.start("one")
        with pytest.raises(Exception, match="did not start") as failure:
            await counter.start("two")
        cause: BaseException | None = failure.value
        while cause is not None and not isinstance(cause, LimitExceeded):
            cause = cause.__cause__
        assert isinstance(cause, LimitExceeded)
        assert (cause.limit, cause.owner) == ("instances", "deployment acme/counter")
        assert counter.usage().instances == 2


def test_a_redeploy_sets_other_ceilings(state, guest, provides):
    with Host.open_blocking(state, provides=provides) as host:
        small = Ceilings(memory="8MiB")
        bomb = host.deploy(guest("faults"), name="acme/bomb", limits=ROOMY, ceilings=small)
        with pytest.raises(LimitExceeded):
            bomb.call("allocate", 16)
        bomb.deploy(guest("faults"), ceilings=Ceilings(memory="64MiB"))
        assert bomb.call("allocate", 16) == 16
        bomb.rollback()
        with pytest.raises(LimitExceeded):
            bomb.call("allocate", 16)
    with Host.open_blocking(state, provides=provides) as host:
        assert host.deployment("acme/bomb").revision.settings.ceilings == small
        with pytest.raises(LimitExceeded):
            host.deployment("acme/bomb").call("allocate", 16)


@pytest.mark.parametrize(
    "wrong",
    [{"memory": "much"}, {"memory": -1}, {"instances": 0}, {"calls_per_second": 1.5}],
    ids=str,
)
def test_a_ceiling_that_is_none_is_refused(wrong):
    with pytest.raises(InvalidSetting, match=next(iter(wrong))):
        Ceilings(**wrong)


def test_half_of_the_memory_is_the_ceiling_of_a_host():
    assert 2**26 < HostCeilings().memory < 2**50
