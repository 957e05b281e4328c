"""What tenants share: one that floods gets its part, and the others theirs."""

from __future__ import annotations

import asyncio
import threading

import pytest

from airssys.rt import SpawnFailed
from airssys.wasm import Host, HostCeilings, LimitExceeded

#: Calls the host while it is instantiated, which is while it is deployed.
CALLS_AT_ITS_START = b"""(component
  (import "demo:gate/wait" (instance $wait (export "pass" (func))))
  (alias export $wait "pass" (func $pass))
  (core func $lowered (canon lower (func $pass)))
  (core module $m
    (import "host" "pass" (func $pass))
    (func $start (call $pass))
    (start $start))
  (core instance (instantiate $m
    (with "host" (instance (export "pass" (func $lowered)))))))"""


async def test_one_that_deploys_without_end_does_not_keep_others_from_it(state, guest):
    """Half of the threads that deploy are left to others, however many deploys one waits with."""
    waiting, go = threading.Semaphore(0), threading.Event()

    def stand() -> None:
        waiting.release()
        assert go.wait(30)

    provides = {"demo:gate/wait": {"pass": stand}}
    async with Host.open(state, provides=provides) as host:
        flood = [
            asyncio.create_task(host.deploy(CALLS_AT_ITS_START, name=f"evil/number-{number}"))
            for number in range(8)
        ]
        for _ in range(2):
            assert await asyncio.to_thread(waiting.acquire, timeout=20)
        try:
            calm = await asyncio.wait_for(host.deploy(guest("calculator"), name="good/calc"), 20)
            assert await calm.call("add", 2, 3) == 5
            assert not any(each.done() for each in flood)
        finally:
            go.set()
        await asyncio.gather(*flood)
        assert len(host.deployments()) == 9  # nothing is lost


async def started(deployment, key: str) -> BaseException | None:
    try:
        await deployment.start(key)
    except SpawnFailed as error:
        return error
    return None


def limit_of(error: BaseException | None) -> LimitExceeded:
    while error is not None and not isinstance(error, LimitExceeded):
        error = error.__cause__
    assert error is not None
    return error


async def test_one_that_takes_instances_without_end_leaves_others_theirs(state, guest):
    """Once they are scarce, each tenant gets its part of them and no more."""
    async with Host.open(state, ceilings=HostCeilings(instances=16)) as host:
        flood = await host.deploy(guest("counter-rust"), name="evil/flood", lifetime="actor")
        calm = await host.deploy(guest("calculator"), name="good/calc")
        outcomes = [await started(flood, f"key-{number}") for number in range(20)]
        assert outcomes[:13] == [None] * 13  # and the main one
        refused = limit_of(outcomes[13])
        assert (refused.limit, refused.configured) == ("instances", 8)
        assert refused.owner == "namespace evil"
        assert host.usage("evil").instances == 14
        assert [await calm.call("add", 1, 1) for _ in range(20)] == [2] * 20
        assert calm.usage().refused == {}
        assert host.usage("evil").refused == {"instances": 7}


async def test_one_without_neighbours_has_all_instances(state, guest):
    async with Host.open(state, ceilings=HostCeilings(instances=16)) as host:
        flood = await host.deploy(guest("counter-rust"), name="evil/flood", lifetime="actor")
        for number in range(15):
            await flood.start(f"key-{number}")
        with pytest.raises(SpawnFailed) as failure:
            await flood.start("one-more")
        assert limit_of(failure.value).owner == "host"
