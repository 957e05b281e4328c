"""Deadlines that pass while Python has the call, and who is told when several things end it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from airssys.wasm import Component, Engine, Instance, InstancePoisoned, LimitExceeded, Limits

TEXTS = Path(__file__).parents[3] / "components" / "wat"
TIMEOUT = 0.05

# Goes on for ever once the host function has answered.
GOES_ON = b"""(component
  (import "demo:wat/host" (instance $host (export "back" (func (param "depth" u32) (result u32)))))
  (core func $back (canon lower (func $host "back")))
  (core module $m
    (import "host" "back" (func $back (param i32) (result i32)))
    (func (export "enter") (param i32) (result i32)
      (drop (call $back (local.get 0)))
      (loop $again (br $again))
      (unreachable)))
  (core instance $i (instantiate $m (with "host" (instance (export "back" (func $back))))))
  (func (export "enter") (param "depth" u32) (result u32)
    (canon lift (core func $i "enter"))))"""


@pytest.fixture(scope="module")
def call_back() -> Component:
    return Engine(cache=None).load(TEXTS / "call-back.wat")


def calling(component: Component, back, **bounds) -> Instance:
    limits = Limits(**{"call_timeout": TIMEOUT, **bounds})
    return component.instantiate(limits=limits, imports={"demo:wat/host": {"back": back}})


async def wait(awaitable):
    return await awaitable


def enter(instance: Instance, *, awaited: bool) -> int:
    if awaited:
        return asyncio.run(wait(instance["enter"].call_async(1)))
    return instance["enter"](1)


def take_the_rest_of_the_time(depth: int) -> int:
    until = time.monotonic() + TIMEOUT
    while time.monotonic() <= until:
        pass
    return depth


async def take_it_in_a_coroutine(depth: int) -> int:
    await asyncio.sleep(0)
    return take_the_rest_of_the_time(depth)


async def never(_depth: int) -> int:
    return await asyncio.get_running_loop().create_future()


def assert_timed_out(error: LimitExceeded, component: Component) -> None:
    assert (error.limit, error.configured) == ("call_timeout", TIMEOUT)
    assert (error.component, error.call) == (component.digest, "enter")


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize("back", [take_the_rest_of_the_time, take_it_in_a_coroutine, never])
def test_a_host_function_that_outlasts_the_call(call_back, back, awaited) -> None:
    instance = calling(call_back, back)
    with pytest.raises(LimitExceeded) as caught:
        enter(instance, awaited=awaited)
    assert_timed_out(caught.value, call_back)
    with pytest.raises(InstancePoisoned, match="call_timeout"):
        instance["enter"](1)


@pytest.mark.parametrize("awaited", [False, True])
def test_a_guest_that_goes_on_after_a_host_function(awaited) -> None:
    component = Engine(cache=None).load(GOES_ON)
    instance = calling(component, lambda depth: depth)
    with pytest.raises(LimitExceeded) as caught:
        enter(instance, awaited=awaited)
    assert_timed_out(caught.value, component)


@pytest.mark.parametrize("awaited", [False, True])
def test_processor_time_before_and_after_a_host_function_adds_up(awaited) -> None:
    component = Engine(cache=None).load(GOES_ON)
    instance = calling(component, lambda depth: depth, call_timeout=3600, cpu_per_call=0.05)
    with pytest.raises(LimitExceeded) as caught:
        enter(instance, awaited=awaited)
    assert (caught.value.limit, caught.value.configured) == ("cpu_per_call", 0.05)


def test_time_in_python_is_not_the_guests_processor_time(call_back) -> None:
    instance = calling(call_back, take_the_rest_of_the_time, call_timeout=3600, cpu_per_call=0.02)
    assert instance["enter"](1) == 2
    assert asyncio.run(wait(instance["enter"].call_async(1))) == 2


def test_an_outer_timeout_that_comes_first_is_the_one_that_is_told(call_back) -> None:
    async def main() -> None:
        instance = calling(call_back, never, call_timeout=3600)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await instance["enter"].call_async(1)
        with pytest.raises(InstancePoisoned, match="cancelled"):
            await instance["enter"].call_async(1)

    asyncio.run(main())


def test_the_calls_deadline_that_comes_first_is_the_one_that_is_told(call_back) -> None:
    async def main() -> None:
        instance = calling(call_back, never)
        async with asyncio.timeout(3600):
            with pytest.raises(LimitExceeded):
                await instance["enter"].call_async(1)
        assert asyncio.current_task().cancelling() == 0

    asyncio.run(main())


@pytest.mark.parametrize("order", ["cancelled first", "deadline first"])
def test_a_task_that_is_cancelled_at_the_deadline_is_cancelled(call_back, order) -> None:
    """Who cancels a task waits for its end: the deadline does not take that away from them."""

    async def main() -> None:
        asked = asyncio.Event()

        async def back(_depth: int) -> int:
            # Both come before the host function is told of either.
            until = time.monotonic() + TIMEOUT
            if order == "cancelled first":
                task.cancel()
            else:
                asyncio.get_running_loop().call_later(TIMEOUT, task.cancel)
            while time.monotonic() <= until:
                pass
            asked.set()
            return await asyncio.get_running_loop().create_future()

        instance = calling(call_back, back)
        task = asyncio.create_task(wait(instance["enter"].call_async(1)))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asked.is_set()
        assert task.cancelled()
        with pytest.raises(InstancePoisoned):
            await instance["enter"].call_async(1)

    asyncio.run(main())


def test_a_second_await_of_a_call_is_refused_and_the_first_goes_on(call_back) -> None:
    async def main() -> None:
        answer = asyncio.get_running_loop().create_future()

        async def back(_depth: int) -> int:
            return await answer

        call = calling(call_back, back, call_timeout=3600)["enter"].call_async(1)
        first = asyncio.create_task(wait(call))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="awaited already"):
            await call
        assert not first.done()
        answer.set_result(41)
        assert await first == 42
        with pytest.raises(RuntimeError, match="awaited already"):
            await call

    asyncio.run(main())


@pytest.mark.parametrize("where", ["in the block", "nowhere"])
def test_leaving_a_block_whose_instance_is_busy(call_back, where) -> None:
    """The block's own exception is the one to be seen; without one, that the close failed is."""
    seen: list[BaseException] = []

    def back(depth: int) -> int:
        try:
            with instance:
                if where == "in the block":
                    raise ZeroDivisionError
        except Exception as error:  # noqa: BLE001 - which one it is, is the test
            seen.append(error)
        return depth

    instance = calling(call_back, back, call_timeout=3600)
    assert instance["enter"](1) == 2
    expected = "ZeroDivisionError" if where == "in the block" else "InstanceBusy"
    assert [type(error).__name__ for error in seen] == [expected]
    with pytest.raises(ZeroDivisionError), instance:
        raise ZeroDivisionError
    with pytest.raises(InstancePoisoned, match="closed"):
        instance["enter"](1)
