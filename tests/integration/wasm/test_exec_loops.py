"""Event loops that end before their calls do, and awaitables that are left in the middle."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path

import pytest

from airssys.wasm import Component, Engine, Instance, InstancePoisoned, Limits

ROOT = Path(__file__).parents[3]
GUESTS = ROOT / "build" / "components"
TEXTS = ROOT / "components" / "wat"

# Each of these ends with a task that will never be told that it is.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def faults() -> Component:
    return Engine().load(GUESTS / "faults.wasm")


@pytest.fixture(scope="module")
def call_back() -> Component:
    return Engine(cache=None).load(TEXTS / "call-back.wat")


def sleeping(faults: Component) -> Instance:
    sink = {"push": lambda _bytes: None, "pull": bytes}
    limits = Limits(call_timeout=3600, cpu_per_call=3600)
    return faults.instantiate(limits=limits, imports={"demo:faults/sink": sink})


async def wait(awaitable):
    return await awaitable


def close_in_mid_call(awaitable, instance: Instance) -> weakref.ref[asyncio.AbstractEventLoop]:
    """Close an event loop while one of its tasks is in a call."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(wait(awaitable))
    while "idle" in repr(instance):
        loop.run_until_complete(asyncio.sleep(0))
    task._log_destroy_pending = False
    loop.close()
    return weakref.ref(loop)


@pytest.mark.parametrize("function", ["spin", "sleep-forever"])
def test_a_loop_that_is_closed_in_mid_call_ends_the_call(faults, function) -> None:
    instance = sleeping(faults)
    loop = close_in_mid_call(instance[function].call_async(), instance)
    gc.collect()
    assert loop() is None, "nothing of ours keeps it"
    with pytest.raises(InstancePoisoned, match="cancelled"):
        instance["count"]()


def test_a_loop_that_is_closed_while_a_host_function_waits_ends_the_call(call_back) -> None:
    closed = []

    async def back(_depth: int) -> int:
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            closed.append(True)

    instance = call_back.instantiate(imports={"demo:wat/host": {"back": back}})
    loop = close_in_mid_call(instance["enter"].call_async(1), instance)
    gc.collect()
    assert loop() is None
    assert closed == [True]
    with pytest.raises(InstancePoisoned, match="cancelled"):
        instance["enter"](1)


def test_an_owner_of_both_loop_and_instance_goes_with_them(faults) -> None:
    """The program that the host functions belong to may know the task, the loop and the call."""

    class Program:
        def __init__(self) -> None:
            self.instance = faults.instantiate(
                limits=Limits(call_timeout=3600), imports={"demo:faults/sink": self}
            )
            self.loop = asyncio.new_event_loop()
            self.call = self.instance["sleep-forever"].call_async()
            self.task = self.loop.create_task(wait(self.call))

        def push(self, data: bytes) -> None:
            raise AssertionError(self, data)

        def pull(self, size: int) -> bytes:
            raise AssertionError(self, size)

    program = Program()
    while "idle" in repr(program.instance):
        program.loop.run_until_complete(asyncio.sleep(0))
    program.task._log_destroy_pending = False
    program.loop.close()
    gone = weakref.ref(program)
    del program
    gc.collect()
    assert gone() is None


def test_calls_of_many_loops_leave_nothing_behind(faults) -> None:
    loops = []
    for _ in range(20):
        instance = sleeping(faults)
        loops.append(close_in_mid_call(instance["sleep-forever"].call_async(), instance))
        del instance
    gc.collect()
    assert [loop() for loop in loops] == [None] * 20


def test_an_awaitable_that_is_let_go_in_the_middle_ends_its_call(faults) -> None:
    async def main() -> None:
        instance = sleeping(faults)
        call = instance["sleep-forever"].call_async()
        assert asyncio.isfuture(next(call.__await__()))
        assert "another call" in repr(instance)
        del call
        with pytest.raises(InstancePoisoned, match="cancelled"):
            instance["count"]()

    asyncio.run(main())


def test_a_host_function_that_nobody_drives_any_more_cancels_nobody(call_back) -> None:
    """Its deadline would have cancelled the task that began to drive it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def back(_depth: int) -> int:
            return await loop.create_future()

        instance = call_back.instantiate(
            limits=Limits(call_timeout=0.01), imports={"demo:wat/host": {"back": back}}
        )
        call = instance["enter"].call_async(1)
        next(call.__await__())
        del call
        passed = loop.create_future()
        loop.call_later(0.05, passed.set_result, "the deadline has passed")
        assert await passed == "the deadline has passed"

    asyncio.run(main())
