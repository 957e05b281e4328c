"""What cancelling, running out of time and calling at the wrong moment do to a call."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path

import pytest

from airssys.wasm import (
    Component,
    Engine,
    Instance,
    InstanceBusy,
    InstancePoisoned,
    LimitExceeded,
    Limits,
    Trap,
)

ROOT = Path(__file__).parents[3]
GUESTS = ROOT / "build" / "components"
TEXTS = ROOT / "components" / "wat"


class Sink:
    """The import of the faulty guest."""

    def push(self, data: bytes) -> None:
        """Take it."""

    def pull(self, size: int) -> bytes:
        return bytes(size)


@pytest.fixture(scope="module")
def faults() -> Component:
    return Engine().load(GUESTS / "faults.wasm")


@pytest.fixture(scope="module")
def call_back() -> Component:
    return Engine(cache=None).load(TEXTS / "call-back.wat")


def faulty(faults: Component) -> Instance:
    limits = Limits(call_timeout=3600, cpu_per_call=3600)
    return faults.instantiate(limits=limits, imports={"demo:faults/sink": Sink()})


def calling(component: Component, back, **bounds) -> Instance:
    return component.instantiate(limits=Limits(**bounds), imports={"demo:wat/host": {"back": back}})


async def begun(task: asyncio.Task, instance: Instance) -> None:
    """Let the task run until the instance is taken by its call."""
    while "idle" in repr(instance):
        assert not task.done(), task
        await asyncio.sleep(0)


@pytest.mark.parametrize("function", ["spin", "sleep-forever", "sleep-in-slices"])
def test_a_cancelled_call_ends_and_takes_its_store_along(faults, function) -> None:
    async def main() -> None:
        instance = faulty(faults)
        task = asyncio.ensure_future(wait(instance[function].call_async()))
        await begun(task, instance)
        assert task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        with pytest.raises(InstancePoisoned):
            await instance["count"].call_async()
        assert await faulty(faults)["count"].call_async() == 1

    asyncio.run(main())


@pytest.mark.parametrize("function", ["spin", "sleep-forever"])
def test_asyncio_timeout_around_a_call(faults, function) -> None:
    async def main() -> None:
        instance = faulty(faults)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await instance[function].call_async()
        assert asyncio.current_task().cancelling() == 0
        with pytest.raises(InstancePoisoned):
            await instance["count"].call_async()

    asyncio.run(main())


async def wait(awaitable):
    return await awaitable


def test_cancelling_reaches_the_host_coroutine(call_back) -> None:
    async def main() -> None:
        reached, told = asyncio.Event(), []

        async def back(depth: int) -> int:
            reached.set()
            try:
                return await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                told.append(depth)
                raise

        instance = calling(call_back, back)
        task = asyncio.create_task(wait(instance["enter"].call_async(7)))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert told == [7]
        with pytest.raises(InstancePoisoned):
            await instance["enter"].call_async(1)

    asyncio.run(main())


def test_a_host_coroutine_may_use_asyncio_timeout_itself(call_back) -> None:
    async def back(depth: int) -> int:
        try:
            async with asyncio.timeout(0):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            return depth + 1
        raise AssertionError("never done")

    async def main() -> None:
        instance = calling(call_back, back)
        assert await instance["enter"].call_async(4) == 6
        assert asyncio.current_task().cancelling() == 0
        assert await instance["enter"].call_async(5) == 7

    asyncio.run(main())


def test_the_call_timeout_ends_a_host_coroutine_and_leaves_the_task_as_it_was(call_back) -> None:
    ended = []

    async def back(depth: int) -> int:
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            ended.append(depth)

    async def main() -> None:
        instance = calling(call_back, back, call_timeout=0.05)
        with pytest.raises(LimitExceeded) as caught:
            await instance["enter"].call_async(3)
        assert (caught.value.limit, caught.value.configured) == ("call_timeout", 0.05)
        assert (caught.value.component, caught.value.call) == (call_back.digest, "enter")
        assert ended == [3]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)  # a cancellation left behind would come now
        with pytest.raises(InstancePoisoned, match="call_timeout"):
            await instance["enter"].call_async(3)

    asyncio.run(main())


def test_a_host_coroutine_that_ends_in_time_leaves_no_timer(call_back) -> None:
    async def back(depth: int) -> int:
        await asyncio.sleep(0)
        return depth

    async def main() -> None:
        instance = calling(call_back, back, call_timeout=3600)
        assert await instance["enter"].call_async(1) == 2
        scheduled = asyncio.get_running_loop()._scheduled
        assert [handle for handle in scheduled if not handle.cancelled()] == []

    asyncio.run(main())


def test_a_host_coroutine_may_answer_a_cancellation_with_a_value(call_back) -> None:
    """As any coroutine may; the call then goes on."""

    async def main() -> None:
        reached = asyncio.Event()

        async def back(depth: int) -> int:
            reached.set()
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                return depth + 10
            raise AssertionError("never done")

        instance = calling(call_back, back)
        task = asyncio.create_task(wait(instance["enter"].call_async(1)))
        await reached.wait()
        task.cancel()
        assert await task == 12

    asyncio.run(main())


def test_whatever_asyncio_takes_for_an_awaitable(call_back) -> None:
    async def later(depth: int) -> int:
        await asyncio.sleep(0)
        return depth

    async def main() -> None:
        of_tasks = calling(call_back, lambda depth: asyncio.ensure_future(later(depth)))
        enter = of_tasks["enter"]
        assert await enter.call_async(1) == 2
        assert await asyncio.wait_for(enter.call_async(2), 3600) == 3
        assert await asyncio.gather(enter.call_async(3)) == [4]
        assert await asyncio.shield(enter.call_async(4)) == 5
        of_calls = calling(call_back, enter.call_async)
        assert await of_calls["enter"].call_async(5) == 7

    asyncio.run(main())


def test_a_host_function_that_raises_stop_iteration_ends_nothing_but_its_call(call_back) -> None:
    def back(depth: int) -> int:
        raise StopIteration(depth)

    async def main() -> None:
        with pytest.raises(Trap) as caught:
            await calling(call_back, back)["enter"].call_async(99)
        assert isinstance(caught.value.__cause__, StopIteration)

    asyncio.run(main())


def test_a_call_is_awaited_once(call_back) -> None:
    async def main() -> None:
        instance = calling(call_back, lambda depth: depth)
        call = instance["enter"].call_async(1)
        assert await call == 2
        with pytest.raises(RuntimeError, match="awaited already"):
            await call
        assert await instance["enter"].call_async(2) == 3

    asyncio.run(main())


def test_a_call_that_is_never_awaited_never_begins(faults) -> None:
    instance = faulty(faults)
    call = instance["spin"].call_async()
    del call
    gc.collect()
    assert instance["count"]() == 1, "arguments were looked at, nothing ran"


def test_a_wrong_argument_is_told_before_anything_is_awaited(faults) -> None:
    instance = faulty(faults)
    with pytest.raises(TypeError):
        instance["recurse"].call_async("deep")
    with pytest.raises(TypeError):
        instance["recurse"]("deep")
    assert instance["count"]() == 1


def test_an_instance_takes_one_call_at_a_time(faults) -> None:
    async def main() -> None:
        instance = faulty(faults)
        task = asyncio.create_task(wait(instance["sleep-forever"].call_async()))
        await begun(task, instance)
        for busy in (instance["count"], instance.close, instance.usage):
            with pytest.raises(InstanceBusy):
                busy()
        with pytest.raises(InstanceBusy):
            await instance["count"].call_async()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_a_host_function_that_calls_back_is_told(call_back) -> None:
    told: list[InstanceBusy] = []

    def back(depth: int) -> int:
        try:
            return instance["enter"](depth)
        except InstanceBusy as error:
            told.append(error)
            return 40

    instance = calling(call_back, back)
    assert instance["enter"](1) == 41
    assert len(told) == 1
    assert "'enter'" in str(told[0])


def test_a_host_coroutine_that_calls_back_is_told(call_back) -> None:
    async def back(depth: int) -> int:
        return await instance["enter"].call_async(depth)

    instance = calling(call_back, back)

    async def main() -> None:
        with pytest.raises(Trap) as caught:
            await instance["enter"].call_async(1)
        assert isinstance(caught.value.__cause__, InstanceBusy)

    asyncio.run(main())


def test_host_functions_call_other_instances(call_back) -> None:
    """A chain of 20 instances, each entered from the host function of the one before."""
    chain: list[Instance] = []

    def link(position: int):
        def back(depth: int) -> int:
            if position == 19:
                return depth
            return chain[position + 1]["enter"](depth)

        return back

    chain.extend(calling(call_back, link(position)) for position in range(20))
    assert chain[0]["enter"](100) == 120
    assert chain[0]["enter"](200) == 220


def test_host_coroutines_call_other_instances(call_back) -> None:
    chain: list[Instance] = []

    def link(position: int):
        async def back(depth: int) -> int:
            await asyncio.sleep(0)
            if position == 19:
                return depth
            return await chain[position + 1]["enter"].call_async(depth)

        return back

    async def main() -> None:
        chain.extend(calling(call_back, link(position)) for position in range(20))
        assert await chain[0]["enter"].call_async(100) == 120
        assert await chain[0]["enter"].call_async(200) == 220

    asyncio.run(main())


def test_cancelling_a_chain_poisons_each_link(call_back) -> None:
    async def main() -> None:
        reached = asyncio.Event()

        async def last(depth: int) -> int:
            reached.set()
            return await asyncio.get_running_loop().create_future()

        inner = calling(call_back, last)
        outer = calling(call_back, inner["enter"].call_async)
        task = asyncio.create_task(wait(outer["enter"].call_async(1)))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for instance in (inner, outer):
            with pytest.raises(InstancePoisoned):
                await instance["enter"].call_async(1)

    asyncio.run(main())


def test_a_host_coroutine_in_a_blocking_call(call_back) -> None:
    async def back(depth: int) -> int:
        await asyncio.sleep(0)
        return depth * 2

    instance = calling(call_back, back)
    assert instance["enter"](4) == 9

    async def main() -> None:
        with pytest.raises(Trap) as caught:
            calling(call_back, back)["enter"](4)
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert "call_async" in str(caught.value.__cause__)

    asyncio.run(main())


def test_other_tasks_run_while_guests_compute(faults) -> None:
    async def main() -> None:
        instances = [faulty(faults) for _ in range(4)]
        tasks = [asyncio.create_task(wait(each["spin"].call_async())) for each in instances]
        for task, instance in zip(tasks, instances, strict=True):
            await begun(task, instance)
        turns = 0
        while turns < 200:
            await asyncio.sleep(0)
            turns += 1
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in outcomes)

    asyncio.run(main())


def test_one_loop_per_thread(call_back) -> None:
    outcomes: dict[int, int] = {}

    async def back(depth: int) -> int:
        await asyncio.sleep(0)
        return depth

    async def main(number: int) -> None:
        instance = calling(call_back, back)
        for call in range(100):
            assert await instance["enter"].call_async(call) == call + 1
        outcomes[number] = number

    threads = [threading.Thread(target=asyncio.run, args=(main(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == list(range(8))
