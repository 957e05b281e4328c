"""What keeps the runtime fast and small, where a test can say so without a clock."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from rt_actors import Echo, Get, Keeper, Put

from airssys.rt import Actor, System, bulk_spawn, handles

if TYPE_CHECKING:
    from airssys.testing import TestSystem


class Task(Actor):
    @handles
    async def echo(self, message: Echo) -> Any:
        return id(asyncio.current_task()) if message.value is None else asyncio.current_task()


@pytest.mark.in_order
async def test_a_run_is_used_again_unless_someone_kept_it(system: TestSystem) -> None:
    ref = await system.spawn(Task)
    assert len({await ref.ask(Echo()) for _ in range(10)}) == 1
    kept = [await ref.ask(Echo("keep")) for _ in range(3)]
    assert len({id(run) for run in kept}) == 3
    assert all(run.done() for run in kept)


async def test_messages_make_no_garbage_cycles(system: TestSystem) -> None:
    keeper = await system.spawn(Keeper)
    for value in range(100):
        await keeper.ask(Echo(value))
        keeper.tell(Put(0))
    await keeper.ask(Get())
    gc.collect()
    gc.disable()
    try:
        for value in range(1000):
            await keeper.ask(Echo(value))
            await keeper.ask(Get())
        assert gc.collect() < 50
    finally:
        gc.enable()


async def test_ended_actors_are_freed_without_the_collector(system: TestSystem) -> None:
    made: list[weakref.ref[Any]] = []

    class Noted(Keeper):
        def __init__(self) -> None:
            super().__init__()
            made.append(weakref.ref(self))

    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            ref = await system.spawn(Noted)
            await ref.ask(Echo(1))
            await ref.stop()
            del ref
        await system.settle()
        # The run that is kept for the next coroutine may hold on to the last one.
        assert [one() for one in made[:-1]] == [None] * 9
    finally:
        gc.enable()


async def test_bulk_spawn_freezes_what_stays(system: TestSystem) -> None:
    before = gc.get_freeze_count()
    try:
        with bulk_spawn():
            assert not gc.isenabled()
            refs = [await system.spawn(Keeper) for _ in range(1000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() > before + 1000
        assert await refs[-1].ask(Echo(1)) == 1
    finally:
        gc.unfreeze()


async def test_what_few_actors_need_is_not_allocated_for_all(system: TestSystem) -> None:
    ref: Any = await system.spawn(Task)
    for value in range(50):
        await ref.ask(Echo(value))
    cell = ref._cell
    assert (cell.more, cell.lanes, cell.children, cell.head) == (None, None, None, None)
    assert sys.getsizeof(cell) < 300


@pytest.mark.parametrize("count", [1, 255, 256, 257, 1000])
@pytest.mark.in_order
async def test_a_batch_gives_the_next_actor_its_turn(system: TestSystem, count: int) -> None:
    order: list[str] = []

    class Noter(Keeper):
        @handles
        def put(self, message: Put) -> None:
            order.append(message.value)

    one, two = await system.spawn(Noter), await system.spawn(Noter)
    for _ in range(count):
        one.tell(Put("one"))
    two.tell(Put("two"))
    await system.settle()
    assert order.index("two") == min(count, 256)


def test_it_runs_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> list[Any]:
        async with System("uv") as system:
            keeper = await system.spawn(Keeper)
            for value in range(100):
                keeper.tell(Put(value))
            assert await keeper.ask(Echo(1), 1.0) == 1
            thread = await asyncio.to_thread(
                lambda: keeper.threadsafe.ask(Echo("thread")).result(10)
            )
            assert thread == "thread"
            return await keeper.ask(Get())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main()) == list(range(100))
