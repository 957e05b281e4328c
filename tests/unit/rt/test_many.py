"""Pools, registry, groups, topics."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from rt_actors import Echo, Fail, Get, Keeper, Put, Wait

from airssys.rt import (
    Actor,
    Bounded,
    InvalidSpec,
    MailboxFull,
    NameTaken,
    Published,
    RequestDropped,
    WaitTimeout,
    handles,
)
from airssys.testing import TestSystem  # noqa: TC001 - a fixture


class Worker(Keeper):
    @handles
    async def echo(self, message: Echo) -> Any:
        return self.ref.path


async def test_round_robin_spreads_evenly_and_the_pool_is_supervised(system: TestSystem) -> None:
    pool = await system.pool("pool", Worker, size=4)
    paths = Counter(await asyncio.gather(*(pool.ask(Echo()) for _ in range(40))))
    assert sorted(paths.values()) == [10] * 4
    pool.workers[0].tell(Fail(ValueError()))
    await system.settle()
    assert pool.size == 4
    assert await pool.workers[0].ask(Get()) == []
    assert system.dead_letters.reasons() == ["failed"]


async def test_least_loaded_avoids_the_busy_ones(system: TestSystem) -> None:
    pool = await system.pool("pool", Worker, size=2, routing="least-loaded")
    gate = asyncio.Event()
    asks = [asyncio.ensure_future(pool.workers[0].ask(Wait(gate))) for _ in range(3)]
    await system.settle()
    assert {await pool.ask(Echo()) for _ in range(5)} == {pool.workers[1].path}
    gate.set()
    await asyncio.gather(*asks)


async def test_by_key_is_stable_and_a_resize_moves_few_keys(system: TestSystem) -> None:
    pool = await system.pool("pool", Worker, size=4, key=lambda message: message.value)
    before = {key: await pool.ask(Echo(key)) for key in range(200)}
    assert before == {key: await pool.ask(Echo(key)) for key in range(200)}
    assert len(set(before.values())) == 4
    await pool.resize(5)
    after = {key: await pool.ask(Echo(key)) for key in range(200)}
    moved = [key for key in before if before[key] != after[key]]
    assert {after[key] for key in moved} == {pool.workers[4].path}
    assert len(moved) < 80


async def test_a_shrinking_pool_handles_what_is_queued(system: TestSystem) -> None:
    pool = await system.pool("pool", Worker, size=3)
    asks = [pool.ask(Echo()) for _ in range(30)]
    await pool.resize(1)
    assert len(await asyncio.gather(*asks)) == 30
    assert pool.size == 1
    with pytest.raises(InvalidSpec):
        await pool.resize(0)
    await pool.stop()
    assert not pool.alive


async def test_a_full_pool_refuses_or_waits(system: TestSystem) -> None:
    pool = await system.pool("pool", Worker, size=2, mailbox=Bounded(1, full="wait"))
    for worker in pool.workers:
        system.suspend(worker)
    pool.tell(Put(1))
    pool.tell(Put(2))
    with pytest.raises(MailboxFull):
        pool.tell(Put(3))
    sending = asyncio.create_task(pool.send(Put(4)))
    await system.settle()
    assert not sending.done()
    for worker in pool.workers:
        system.resume(worker)
    await sending


async def test_registering_is_atomic_and_ends_with_the_actor(system: TestSystem) -> None:
    one, two = await system.spawn(Keeper), await system.spawn(Keeper)
    waiting = asyncio.create_task(system.registry.wait_for("name", 5.0))
    await asyncio.sleep(1)
    system.registry.register("name", one)
    assert await waiting is one
    with pytest.raises(NameTaken):
        system.registry.register("name", two)
    await one.stop()
    assert system.registry.whereis("name") is None
    system.registry.register("name", two)
    with pytest.raises(RequestDropped):
        system.registry.register("other", one)
    with pytest.raises(WaitTimeout):
        await system.registry.wait_for("never", 1.0)
    system.registry.unregister("name")
    assert system.registry.names() == {}


async def test_groups_lose_members_that_end(system: TestSystem) -> None:
    keepers = [await system.spawn(Keeper) for _ in range(3)]
    for keeper in keepers:
        system.groups.join("g", keeper)
        system.groups.join("g", keeper)
    assert system.groups.publish("g", Put(1)) == Published(3, 0)
    await keepers[0].stop()
    system.groups.part("g", keepers[1])
    assert system.groups.members("g") == (keepers[2],)
    system.dead_letters.ignore()


@pytest.mark.parametrize(
    ("pattern", "topic", "matches"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("*.b", "a.b", True),
        ("a.**", "a.b.c", True),
        ("a.**", "a", False),
        ("**", "x", True),
        ("*", "a.b", False),
        ("a.*.c", "a.b.c", True),
    ],
)
async def test_topic_patterns(system: TestSystem, pattern: str, topic: str, matches: bool) -> None:
    keeper = await system.spawn(Keeper)
    system.topics.subscribe(pattern, keeper)
    assert system.topics.publish(topic, Put(1)).accepted == int(matches)
    system.topics.unsubscribe(pattern, keeper)
    assert system.topics.publish(topic, Put(1)).accepted == 0
    await system.settle()


@pytest.mark.parametrize("pattern", ["", "a..b", "**.a", "a.**.b"])
async def test_malformed_patterns_are_refused(system: TestSystem, pattern: str) -> None:
    keeper = await system.spawn(Keeper)
    with pytest.raises(InvalidSpec, match="malformed"):
        system.topics.subscribe(pattern, keeper)


async def test_a_function_can_be_an_actor(system: TestSystem) -> None:
    from airssys.rt import actor

    @actor
    async def double(self: Actor, message: Echo) -> Any:
        return message.value * 2

    ref = await system.spawn(double)
    assert await ref.ask(Echo(21)) == 42
