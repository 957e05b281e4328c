"""What asyncio and its libraries find inside handlers, and that a kill reaches every wait."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from rt_actors import Get, Keeper, Put

from airssys.rt import Actor, ActorFailed, Ask, RequestDropped, handles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airssys.testing import TestSystem


@dataclass(frozen=True, slots=True)
class Act(Ask[Any, Any]):
    action: Callable[[Any], Awaitable[Any]]


class Runner(Actor):
    @handles
    async def act(self, message: Act) -> Any:
        return await message.action(self)

    @handles
    def get(self, message: Get) -> list[Any]:
        return ["alive"]


async def asyncio_timeout(_: Any) -> str:
    try:
        async with asyncio.timeout(1.0):
            await asyncio.sleep(100)
    except TimeoutError:
        return "timed out"
    return "no"


async def wait_for(_: Any) -> str:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(100), 1.0)
    return await asyncio.wait_for(asyncio.sleep(0.5, "timed out"), 1.0)


async def task_group(_: Any) -> str:
    async def fails() -> None:
        await asyncio.sleep(0.1)
        raise ValueError("x")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(100))
            group.create_task(fails())
    except* ValueError:
        pass
    async with asyncio.TaskGroup() as group:
        done = group.create_task(asyncio.sleep(1, "timed out"))
    return done.result()


async def gather(_: Any) -> str:
    values = await asyncio.gather(asyncio.sleep(1, "timed"), asyncio.sleep(2, "out"))
    return " ".join(values)


async def shield(_: Any) -> str:
    return await asyncio.shield(asyncio.sleep(1, "timed out"))


async def to_thread(_: Any) -> str:
    return await asyncio.to_thread(lambda: "timed out")


async def queues_and_locks(_: Any) -> str:
    lock, queue = asyncio.Lock(), asyncio.Queue[str](1)
    async with lock:
        await queue.put("timed out")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await queue.put("no room")
        return await queue.get()


async def anyio_scopes(_: Any) -> str:
    with anyio.move_on_after(1.0) as scope:
        await anyio.sleep(100)
    assert scope.cancelled_caught
    with pytest.raises(TimeoutError):
        with anyio.fail_after(1.0):
            await anyio.sleep(100)
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 100)
        await anyio.sleep(1)
        group.cancel_scope.cancel()
    return "timed out"


async def anyio_thread(_: Any) -> str:
    return await anyio.to_thread.run_sync(lambda: "timed out")


async def bare_yield(_: Any) -> str:
    for _round in range(10):
        await asyncio.sleep(0)
    return "timed out"


ACTIONS = [
    asyncio_timeout, wait_for, task_group, gather, shield, to_thread, queues_and_locks,
    anyio_scopes, bare_yield,
]  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
async def test_it_works_as_in_a_task(system: TestSystem, action: Any) -> None:
    runner = await system.spawn(Runner)
    for _ in range(3):
        assert await runner.ask(Act(action), 100.0) == "timed out"
    assert await runner.ask(Get()) == ["alive"]


@pytest.mark.real_loop
async def test_anyio_threads_work_as_in_a_task(system: TestSystem) -> None:
    runner = await system.spawn(Runner)
    assert await runner.ask(Act(anyio_thread), 100.0) == "timed out"


async def hang_timeout(_: Any) -> None:
    async with asyncio.timeout(1e6):
        await asyncio.sleep(1e6)


async def hang_wait_for(_: Any) -> None:
    await asyncio.wait_for(asyncio.Event().wait(), 1e6)


async def hang_task_group(_: Any) -> None:
    async with asyncio.TaskGroup() as group:
        for _task in range(3):
            group.create_task(asyncio.sleep(1e6))


async def hang_gather(_: Any) -> None:
    await asyncio.gather(asyncio.sleep(1e6), asyncio.sleep(1e6))


async def hang_anyio(_: Any) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 1e6)
        with anyio.CancelScope():
            await anyio.sleep(1e6)


async def hang_lock(_: Any) -> None:
    lock = asyncio.Lock()
    async with lock, lock:
        pass


async def hang_send(actor: Any) -> None:
    await actor.system.find("/full").send(Put(1), 1e6)


async def hang_spawn(actor: Any) -> None:
    class Hanging(Actor):
        async def started(self) -> None:
            await asyncio.sleep(1e6)

    await actor.spawn(Hanging, start_timeout=1e6)


HANGS = [
    hang_timeout, hang_wait_for, hang_task_group, hang_gather, hang_anyio, hang_lock, hang_send,
    hang_spawn,
]  # fmt: skip


@pytest.mark.parametrize("action", HANGS, ids=lambda action: action.__name__)
async def test_a_kill_reaches_it_in_mid_await(system: TestSystem, action: Any) -> None:
    from airssys.rt import Bounded

    full = await system.spawn(Keeper, name="full", mailbox=Bounded(1, full="wait"))
    system.suspend(full)
    full.tell(Put(0))
    runner = await system.spawn(Runner, name="runner")
    ask = asyncio.ensure_future(runner.ask(Act(action), 1e7))
    await system.settle()
    before = system.now
    tasks = len(asyncio.all_tasks())
    assert (await runner.kill()).kind == "killed"
    assert system.now == before  # nothing had to be abandoned
    with pytest.raises(RequestDropped):
        await ask
    await system.settle()
    assert len(asyncio.all_tasks()) <= tasks
    assert system.find("/runner") is None
    assert system.dead_letters.reasons() == ["killed"]
    await full.kill()
    system.dead_letters.ignore()


async def test_a_kill_reaches_a_handler_that_waits_for_a_thread(system: TestSystem) -> None:
    release = threading.Event()

    async def in_thread(actor: Any) -> Any:
        return await actor.system.offload.thread(release.wait, 10)

    runner = await system.spawn(Runner)
    ask = asyncio.ensure_future(runner.ask(Act(in_thread), 100.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    kill = runner.kill()
    release.set()
    assert (await kill).kind == "killed"
    with pytest.raises(RequestDropped):
        await ask
    assert system.dead_letters.reasons() == ["killed"]


async def test_awaiting_nonsense_fails_the_handler(system: TestSystem) -> None:
    class Nonsense:
        def __await__(self) -> Any:
            yield 42

    async def nonsense(_: Any) -> Any:
        await Nonsense()

    runner = await system.spawn(Runner)
    with pytest.raises(ActorFailed, match="cannot wait for"):
        await runner.ask(Act(nonsense))
    system.dead_letters.ignore()


async def test_a_plain_handler_cannot_own_a_task(system: TestSystem) -> None:
    class Plain(Actor):
        @handles
        def put(self, message: Put) -> None:
            asyncio.create_task(asyncio.sleep(1))

    plain = await system.spawn(Plain)
    plain.tell(Put(1))
    await system.settle()
    (letter,) = system.dead_letters.letters()
    assert "self.background" in str(letter.error)


async def test_a_plain_function_that_returns_a_coroutine_is_awaited(system: TestSystem) -> None:
    import functools

    def traced(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    class Wrapped(Actor):
        @handles
        @traced
        async def act(self, message: Act) -> Any:
            await asyncio.sleep(1)
            return await message.action(self)

    wrapped = await system.spawn(Wrapped)
    assert await wrapped.ask(Act(bare_yield)) == "timed out"


async def test_asks_work_with_gather_and_wait_for(system: TestSystem) -> None:
    from rt_actors import Echo

    keepers = [await system.spawn(Keeper) for _ in range(5)]

    async def fan_out(_: Any) -> Any:
        one = await asyncio.wait_for(keepers[0].ask(Echo(9)), 1.0)
        many = await asyncio.gather(*(ref.ask(Echo(n)) for n, ref in enumerate(keepers)))
        return [one, *many]

    runner = await system.spawn(Runner)
    assert await runner.ask(Act(fan_out)) == [9, 0, 1, 2, 3, 4]
    assert await fan_out(None) == [9, 0, 1, 2, 3, 4]
