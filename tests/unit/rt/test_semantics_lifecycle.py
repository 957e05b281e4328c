"""Semantics 9 to 12: lifecycle."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from rt_actors import Echo, Fail, Get, Keeper, Put, Wait

from airssys.rt import (
    PERMANENT,
    Actor,
    ActorFailed,
    Ask,
    Bounded,
    Leaked,
    Priority,
    Reason,
    RequestDropped,
    SpawnFailed,
    SystemStopped,
    WaitTimeout,
    handles,
)
from airssys.rt._dispatcher import acting

if TYPE_CHECKING:
    from airssys.rt import Ref
    from airssys.testing import TestSystem


class Starter(Actor):
    """Starts as it is told."""

    def __init__(self, log: list[str], name: str, mode: str = "ok") -> None:
        self.log, self.name, self.mode = log, name, mode
        if mode == "init":
            raise ValueError(name)

    async def started(self) -> None:
        await asyncio.sleep(0.01)
        if self.mode == "raise":
            raise ValueError(self.name)
        if self.mode == "hang":
            await asyncio.sleep(1e6)
        self.log.append(f"+{self.name}")

    async def stopped(self, reason: Reason) -> None:
        self.log.append(f"-{self.name}")
        if self.mode == "hang-stop":
            await asyncio.sleep(1e6)


@pytest.mark.parametrize("mode", ["init", "raise", "hang"])
async def test_09_a_failed_start_raises_and_leaves_nothing_behind(
    system: TestSystem, mode: str
) -> None:
    log: list[str] = []
    began = system.now
    with pytest.raises(SpawnFailed) as failure:
        await system.spawn(Starter, log, "a", mode, name="a")
    if mode == "hang":
        assert isinstance(failure.value.__cause__, WaitTimeout)
        assert system.now == pytest.approx(began + 5.0)
    else:
        assert isinstance(failure.value.__cause__, ValueError)
    assert system.find("/a") is None
    await system.spawn(Starter, log, "a", name="a")
    assert log == ["+a"]


async def test_09_a_plain_hook_may_leave_its_work_to_a_coroutine(system: TestSystem) -> None:
    log: list[Any] = []

    class Plain(Actor):
        def started(self) -> Any:
            log.append("begun")
            return self.work("started")

        def failed(self, error: BaseException, _message: object) -> Any:
            return self.work(str(error))

        def stopped(self, _reason: Reason) -> Any:
            return self.work("stopped")

        async def work(self, word: str) -> None:
            await asyncio.sleep(1)
            log.append(word)

        @handles
        def fail(self, message: Fail) -> None:
            raise message.error

    began = system.now
    ref = await system.spawn(Plain)
    assert (log, system.now) == (["begun", "started"], pytest.approx(began + 1))
    ref.tell(Fail(ValueError("broken")))
    await asyncio.sleep(5)
    assert log == ["begun", "started", "broken", "stopped"]
    assert system.dead_letters.reasons() == ["failed"]


async def test_09_states_have_names(system: TestSystem) -> None:
    log: list[str] = []
    asyncio_task = asyncio.create_task(system.spawn(Starter, log, "a", "hang-stop", name="a"))
    await asyncio.sleep(0)
    cell = system.cells()[0]
    states = [cell.ref.state]
    ref = await asyncio_task
    states.append(ref.state)
    system.suspend(ref)
    states.append(ref.state)
    system.resume(ref)
    stop = ref.stop()
    await asyncio.sleep(1)
    states.append(ref.state)
    await stop
    states.append(ref.state)
    assert states == ["starting", "running", "suspended", "stopping", "stopped"]


async def test_10_stop_lets_the_handler_end_and_drain_follows_the_queue(
    system: TestSystem,
) -> None:
    log: list[Any] = []
    keeper = await system.spawn(Keeper, log)
    gate = asyncio.Event()
    ask = asyncio.ensure_future(keeper.ask(Wait(gate)))
    await system.settle()
    keeper.tell(Put(1))
    stop = keeper.stop()
    await asyncio.sleep(1)
    assert not stop.done()
    gate.set()
    assert await ask == "waited"
    assert (await stop).kind == "shutdown"
    assert log == ["started", ("stopped", "shutdown")]
    assert system.dead_letters.reasons() == ["stopped"]

    keeper = await system.spawn(Keeper)
    for value in range(5):
        keeper.tell(Put(value))
        keeper.tell(Put(value), Priority(value % 4))
    answer = keeper.ask(Get())
    stop = keeper.stop(drain=True)
    keeper.tell(Put("late"))
    assert len(await answer) == 8  # two low ones come after the ask
    assert (await stop).kind == "shutdown"
    assert system.dead_letters.reasons() == ["stopped"] * 2


async def test_10_kill_skips_hooks_and_kills_children(system: TestSystem) -> None:
    log: list[Any] = []

    class Parent(Keeper):
        async def started(self) -> None:
            await self.spawn(Keeper, log, name="child")

    parent = await system.spawn(Parent, [])
    assert system.find(f"{parent.path}/child") is not None
    await parent.kill()
    assert log == ["started"]
    assert system.cells() == []


async def test_10_kill_abandons_a_coroutine_after_a_second_and_rejects_its_sends(
    system: TestSystem,
) -> None:
    keeper = await system.spawn(Keeper)
    leaks: list[Any] = []
    system.events.subscribe(leaks.append, Leaked)
    gate = asyncio.Event()

    class Stubborn(Actor):
        @handles
        async def wait(self, message: Wait) -> str:
            while not message.gate.is_set():
                try:
                    await message.gate.wait()
                except asyncio.CancelledError:
                    continue
                except GeneratorExit:
                    keeper.tell(Put("from the grave"))
                    raise
            return ""

    stubborn = await system.spawn(Stubborn)
    ask = asyncio.ensure_future(stubborn.ask(Wait(gate)))
    await system.settle()
    began = system.now
    assert (await stubborn.kill()).kind == "killed"
    assert system.now == pytest.approx(began + 1.0)
    with pytest.raises(RequestDropped):
        await ask
    gate.set()
    await system.settle()
    assert len(leaks) == 1
    assert await keeper.ask(Get()) == []
    assert system.dead_letters.reasons() == ["killed", "rejected"]
    assert system.leaks == [stubborn.path]
    system.leaks.clear()


async def test_10_children_stop_before_parents_in_reverse_order(system: TestSystem) -> None:
    log: list[str] = []

    class Parent(Starter):
        async def started(self) -> None:
            for name in ("a", "b", "c"):
                await self.spawn(Starter, log, name, name=name)

    parent = await system.spawn(Parent, log, "p")
    await parent.stop()
    assert log == ["+a", "+b", "+c", "-c", "-b", "-a", "-p"]


async def test_11_order_of_a_restart(system: TestSystem) -> None:
    log: list[Any] = []

    class Parent(Keeper):
        async def started(self) -> None:
            await super().started()
            await self.spawn(Starter, log, "child")

    parent = await system.spawn(Parent, log, restart=PERMANENT)
    parent.tell(Fail(ValueError("x")))
    assert await parent.ask(Get()) == []
    assert log == [
        "started",
        "+child",
        ("failed", "ValueError('x')"),
        "-child",
        ("stopped", "failed"),
        "started",
        "+child",
    ]
    assert system.dead_letters.reasons() == ["failed"]


async def test_11_what_an_incarnation_had_going_dies_with_it(system: TestSystem) -> None:
    other = await system.spawn(Keeper)

    class Busy(Keeper):
        @handles
        async def begin(self, message: Begin) -> None:
            self.timers.every(1.0, Put("tick"))
            self.ref.tell(Put("to myself"))
            other.monitor()
            self.reply = self.defer()
            raise ValueError

    busy = await system.spawn(Busy, restart=PERMANENT)
    with pytest.raises((ActorFailed, RequestDropped)):
        await busy.ask(Begin())
    await asyncio.sleep(10)
    await other.stop()
    await asyncio.sleep(1)
    assert await busy.ask(Get()) == []
    assert system.dead_letters.reasons() == ["failed", "stale"]
    system.assert_conserved()


@dataclass(frozen=True, slots=True)
class Begin(Ask[Any, None]): ...


async def test_11_state_is_carried_only_where_declared(system: TestSystem) -> None:
    class Carrying(Keeper):
        def carry(self) -> Any:
            return self.values

        def restore(self, carried: Any) -> None:
            self.values = [*carried, "restored"]

    ref = await system.spawn(Carrying, restart=PERMANENT)
    ref.tell(Put(1))
    ref.tell(Fail(ValueError()))
    assert await ref.ask(Get()) == [1, "restored"]
    system.dead_letters.ignore()


variable: ContextVar[int] = ContextVar("variable", default=0)


@dataclass(frozen=True, slots=True)
class Bump(Ask[Any, int]):
    gate: asyncio.Event | None = None


class Variables(Actor):
    def __init__(self) -> None:
        self.running = 0
        self.peak = 0

    @handles
    async def bump(self, message: Bump) -> int:
        self.running += 1
        self.peak = max(self.peak, self.running)
        variable.set(variable.get() + 1)
        if message.gate is not None:
            await message.gate.wait()
        self.running -= 1
        return variable.get()

    @handles
    def get(self, message: Get) -> list[Any]:
        variable.set(99)
        return [self.peak]


async def test_12_one_message_at_a_time_and_its_own_context_variables(system: TestSystem) -> None:
    ref = await system.spawn(Variables)
    gate = asyncio.Event()
    asks = [asyncio.ensure_future(ref.ask(Bump(gate))) for _ in range(3)]
    await system.settle()
    gate.set()
    assert await asyncio.gather(*asks) == [1, 1, 1]
    assert await ref.ask(Get()) == [1]
    assert await ref.ask(Bump()) == 1
    assert variable.get() == 0


async def test_12_reentrant_handlers_interleave_each_with_its_own_task(
    system: TestSystem,
) -> None:
    class Open(Variables):
        @handles(reentrant=True)
        async def bump(self, message: Bump) -> int:
            self.tasks = {*getattr(self, "tasks", ()), asyncio.current_task()}
            return await Variables.bump(self, message)

        @handles
        def get(self, message: Get) -> list[Any]:
            return [self.peak, len(self.tasks)]

    ref = await system.spawn(Open)
    gate = asyncio.Event()
    asks = [asyncio.ensure_future(ref.ask(Bump(gate))) for _ in range(3)]
    await system.settle()
    gate.set()
    assert await asyncio.gather(*asks) == [1, 1, 1]
    assert await ref.ask(Get()) == [3, 3]


async def test_12_a_late_cancellation_does_not_reach_the_next_message(system: TestSystem) -> None:
    tasks: list[Any] = []

    class Leaky(Keeper):
        @handles
        async def echo(self, message: Echo) -> Any:
            tasks.append(asyncio.current_task())
            await asyncio.sleep(message.value)
            return message.value

    ref = await system.spawn(Leaky)
    assert await ref.ask(Echo(0)) == 0
    ask = asyncio.ensure_future(ref.ask(Echo(1)))
    await system.settle()
    tasks[0].cancel()
    assert await ask == 1
    assert tasks[0] is not tasks[1]
    # Runs that nobody kept are used again.
    tasks.clear()


async def test_12_identity_reaches_child_tasks_and_left_over_tasks_are_cancelled(
    system: TestSystem,
) -> None:
    left: list[asyncio.Task[Any]] = []
    keeper = await system.spawn(Keeper)
    seen: list[Any] = []

    class Parent(Actor):
        @handles
        async def go(self, message: Begin) -> None:
            async def child() -> None:
                seen.append(acting.get() is self)
                keeper.tell(Put("from a child task"))

            async with asyncio.TaskGroup() as group:
                group.create_task(child())
            left.append(asyncio.create_task(asyncio.sleep(1e6)))

    ref = await system.spawn(Parent)
    await ref.ask(Begin())
    await system.settle()
    assert seen == [True]
    assert left[0].cancelled()
    assert await keeper.ask(Get()) == ["from a child task"]


async def test_12_background_tasks_end_with_the_incarnation(system: TestSystem) -> None:
    class Owner(Keeper):
        @handles
        def go(self, message: Begin) -> None:
            self.task = self.background(asyncio.sleep(1e6))

        @handles
        def boom(self, message: Bump) -> int:
            async def fails() -> None:
                raise ValueError("in the background")

            self.background(fails())
            return 1

    tasks: list[Any] = []
    ref: Ref[Owner] = await system.spawn(Owner, tasks, restart=PERMANENT)
    await ref.ask(Begin())
    background = tuple(asyncio.all_tasks())
    await ref.ask(Bump())
    await asyncio.sleep(1)
    assert ("failed", "ValueError('in the background')") in tasks
    assert sum(task.cancelled() for task in background) == 1


async def test_spawning_in_a_stopped_system_says_so(system: TestSystem) -> None:
    await system.shutdown()
    with pytest.raises(SystemStopped):
        await system.spawn(Keeper)


async def test_11_what_dies_stale_makes_room_for_those_who_wait(system: TestSystem) -> None:
    class Busy(Keeper):
        @handles
        async def begin(self, message: Begin) -> None:
            for value in range(2):
                self.ref.tell(Put(value))
            await asyncio.sleep(1)
            raise ValueError

    ref = await system.spawn(Busy, mailbox=Bounded(2, full="wait"), restart=PERMANENT)
    failing = asyncio.ensure_future(ref.ask(Begin()))
    await system.settle()
    sending = asyncio.create_task(ref.send(Put("sent")))
    with pytest.raises(ActorFailed):
        await failing
    await sending
    assert await ref.ask(Get()) == ["sent"]
    assert sorted(system.dead_letters.reasons()) == ["failed", "stale", "stale"]
