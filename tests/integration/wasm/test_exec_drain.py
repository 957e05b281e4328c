"""The end of a revision's time reaches its calls wherever they stand."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from airssys.wasm import CallDrained, Host, Limits

ROOT = Path(__file__).parents[3]
CALL_BACK = (ROOT / "components" / "wat" / "call-back.wat").read_bytes()
NEXT = CALL_BACK + b"\n;; the next revision\n"
LIMITS = Limits(call_timeout=3600)


async def wait(awaitable):
    return await awaitable


@pytest.mark.parametrize("lifetime", ["call", "pooled"])
def test_the_drain_deadline_ends_a_call_that_waits_for_a_host_coroutine(tmp_path, lifetime) -> None:
    async def main() -> None:
        reached, told = asyncio.Event(), []

        async def back(depth: int) -> int:
            if depth == 0:
                return depth
            reached.set()
            try:
                return await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                told.append(depth)
                raise

        async with Host.open(tmp_path, provides={"demo:wat/host": {"back": back}}) as host:
            settings = {"lifetime": lifetime, "limits": LIMITS}
            old = await host.deploy(CALL_BACK, name="demo/waits", drain=0.05, **settings)
            task = asyncio.create_task(wait(old.call("enter", 7)))
            await reached.wait()
            await host.deploy(NEXT, name="demo/waits", **settings)
            with pytest.raises(CallDrained, match="'enter' was ended"):
                await task
            assert told == [7]
            assert not task.cancelled()
            assert await old.call("enter", 0) == 1
            first, second = old.statistics().revisions
            assert (first.in_flight, first.cancelled, second.calls) == (0, 1, 1)

    asyncio.run(main())


def test_many_calls_that_wait_are_all_ended_and_their_tasks_go_on(tmp_path) -> None:
    async def main() -> None:
        entered = 0
        everybody = asyncio.Event()

        async def back(depth: int) -> int:
            nonlocal entered
            if depth == 0:
                return depth
            entered += 1
            if entered == 20:
                everybody.set()
            return await asyncio.get_running_loop().create_future()

        async def caller() -> str:
            with pytest.raises(CallDrained):
                await deployment.call("enter", 1)
            assert asyncio.current_task().cancelling() == 0
            await asyncio.sleep(0)  # a cancellation left behind would come now
            return "went on"

        async with Host.open(tmp_path, provides={"demo:wat/host": {"back": back}}) as host:
            deployment = await host.deploy(CALL_BACK, name="demo/waits", drain=0, limits=LIMITS)
            tasks = [asyncio.create_task(caller()) for _ in range(20)]
            await everybody.wait()
            await deployment.deploy(NEXT)
            assert await asyncio.gather(*tasks) == ["went on"] * 20

    asyncio.run(main())


def test_the_drain_deadline_ends_a_blocking_call_that_waits_for_a_host_coroutine(tmp_path) -> None:
    reached, told, outcome = threading.Event(), [], []

    async def back(depth: int) -> int:
        if depth == 0:
            return depth
        reached.set()
        try:
            return await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            told.append(depth)
            raise

    def call() -> None:
        with pytest.raises(CallDrained, match="'enter' was ended"):
            deployment.call("enter", 7)
        outcome.append(deployment.call("enter", 0))

    with Host.open_blocking(tmp_path, provides={"demo:wat/host": {"back": back}}) as host:
        deployment = host.deploy(CALL_BACK, name="demo/waits", drain=0.05, limits=LIMITS)
        caller = threading.Thread(target=call)
        caller.start()
        assert reached.wait(30)
        host.deploy(NEXT, name="demo/waits", limits=LIMITS)
        caller.join()
        assert (told, outcome) == ([7], [1])


def test_a_host_function_that_blocks_its_thread_ends_the_call_when_it_returns(tmp_path) -> None:
    """Nothing can stop Python in the middle of a function; the guest does not go on after it."""
    reached, drained, again = threading.Event(), threading.Event(), []

    def back(depth: int) -> int:
        if depth == 0:
            again.append(depth)
            return depth
        reached.set()
        assert drained.wait(30)
        return depth

    def call() -> None:
        with pytest.raises(CallDrained):
            deployment.call("enter", 7)

    with Host.open_blocking(tmp_path, provides={"demo:wat/host": {"back": back}}) as host:
        deployment = host.deploy(CALL_BACK, name="demo/waits", drain=0, limits=LIMITS)
        caller = threading.Thread(target=call)
        caller.start()
        assert reached.wait(30)
        host.deploy(NEXT, name="demo/waits", limits=LIMITS)
        assert deployment.call("enter", 0) == 1
        # The revision's time is over at once, but it is another thread that tells.
        deployment._serving._draining[0].kill()
        drained.set()
        caller.join()


def test_closing_the_host_ends_calls_that_wait_for_a_host_coroutine(tmp_path) -> None:
    async def main() -> None:
        reached = asyncio.Event()

        async def back(_depth: int) -> int:
            reached.set()
            return await asyncio.get_running_loop().create_future()

        async with Host.open(tmp_path, provides={"demo:wat/host": {"back": back}}) as host:
            deployment = await host.deploy(CALL_BACK, name="demo/waits", limits=LIMITS)
            task = asyncio.create_task(wait(deployment.call("enter", 7)))
            await reached.wait()
            await host.close(timeout=0)
            assert task.done(), "it was ended, not left behind"
            with pytest.raises(CallDrained):
                await task

    asyncio.run(main())
