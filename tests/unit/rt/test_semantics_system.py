"""Semantics 17 to 25: inspection, time, threads, publishing, timers, stash."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from rt_actors import Echo, Fail, Get, Keeper, Put, Wait

from airssys.rt import (
    PERMANENT,
    Actor,
    ActorFailed,
    ForkedSystem,
    MailboxFull,
    Overdue,
    Published,
    Ref,
    Refuse,
    StashFull,
    System,
    SystemStopped,
    Tell,
    handles,
)
from airssys.testing import Deadlock, TestSystem, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Do(Tell[Any]):
    action: Callable[[Any], Any]


class Doer(Keeper):
    @handles
    def do(self, message: Do) -> None:
        message.action(self)


async def test_17_an_actor_is_inspected_without_its_help_from_any_thread(
    system: TestSystem,
) -> None:
    keeper = await system.spawn(Keeper, name="k")
    keeper.tell(Put(1))
    await system.settle()
    gate = asyncio.Event()
    ask = asyncio.ensure_future(keeper.ask(Wait(gate)))
    await system.settle()
    keeper.tell(Put(2))
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(system.inspect(keeper)))
    thread.start()
    thread.join()
    (inspection,) = found
    assert (inspection.state, inspection.path, inspection.actor) == ("running", "/k", "Keeper")
    assert inspection.lanes["normal"] == 1
    assert inspection.next_messages == (Put(2),)
    assert inspection.last_handler == "wait"
    assert inspection.snapshot is None  # a handler is in flight
    assert "pending" in inspection.awaits
    assert (inspection.books.in_flight, inspection.books.pending) == (1, 1)
    gate.set()
    await ask
    await system.settle()
    assert system.inspect(keeper).snapshot["values"] == [1, 2]


async def test_17_suspend_resume_replace_state_and_trace(system: TestSystem) -> None:
    keeper = await system.spawn(Keeper)
    system.suspend(keeper)
    keeper.tell(Put(1))
    await asyncio.sleep(10)
    assert system.inspect(keeper).lanes["normal"] == 1
    system.resume(keeper)
    system.trace(keeper)
    keeper.tell(Put(2))
    await system.settle()
    assert [message for _, message in system.inspect(keeper).recent] == [Put(1), Put(2)]
    system.trace(keeper, on=False)
    assert system.inspect(keeper).recent == ()
    await system.replace_state(keeper, lambda actor: actor.values.append("replaced"))
    assert await keeper.ask(Get()) == [1, 2, "replaced"]

    gate = asyncio.Event()
    ask = asyncio.ensure_future(keeper.ask(Wait(gate)))
    await system.settle()
    replaced = system.replace_state(keeper, lambda actor: actor.values.clear())
    await asyncio.sleep(1)
    assert not replaced.done()  # only between messages
    gate.set()
    await ask
    await replaced
    assert await keeper.ask(Get()) == []


async def test_17_a_suspended_handler_goes_on_after_resume(system: TestSystem) -> None:
    keeper = await system.spawn(Keeper)
    gate = asyncio.Event()
    ask = asyncio.ensure_future(keeper.ask(Wait(gate), 100))
    await system.settle()
    system.suspend(keeper)
    gate.set()
    await asyncio.sleep(10)
    assert not ask.done()
    system.resume(keeper)
    assert await ask == "waited"


async def test_17_the_tree_can_be_printed(system: TestSystem) -> None:
    from io import StringIO

    from rich.console import Console

    await system.spawn(Keeper, name="k")
    out = StringIO()
    Console(file=out, width=80).print(system.tree())
    assert "k Keeper running" in out.getvalue()


@pytest.mark.real_loop
async def test_18_the_watchdog_reports_a_blocked_loop_with_the_stack(system: TestSystem) -> None:
    watchdog = system.watchdog(budget=0.02)
    reports: list[Overdue] = []
    system.events.subscribe(reports.append, Overdue)
    doer = await system.spawn(Doer)

    def block_the_thread(_actor: Any) -> None:
        assert watchdog.reported.wait(10)  # until the watchdog has seen it

    doer.tell(Do(block_the_thread))
    await doer.ask(Echo())
    await asyncio.sleep(0)
    assert "block_the_thread" in watchdog.reports[0].stack
    assert watchdog.reports[0].ref == doer
    while not reports:
        await asyncio.sleep(0)


@pytest.mark.real_loop
async def test_18_the_watchdog_may_interrupt_python_code(system: TestSystem) -> None:
    from airssys.rt import Overrun

    system.watchdog(budget=0.02, interrupt=True)
    doer = await system.spawn(Doer, restart=PERMANENT)

    def forever(_actor: Any) -> None:
        while True:
            pass

    doer.tell(Do(forever))
    assert await doer.ask(Echo(1)) == 1
    (letter,) = system.dead_letters.letters()
    assert isinstance(letter.error, Overrun)


async def test_18_a_handler_over_its_budget_is_reported_with_its_stack(system: TestSystem) -> None:
    reports: list[Overdue] = []
    system.events.subscribe(reports.append, Overdue)

    class Slow(Actor):
        @handles(budget=1.0)
        async def slow(self, message: Echo) -> None:
            await asyncio.sleep(message.value)

    slow = await system.spawn(Slow)
    await slow.ask(Echo(0.5))
    assert reports == []
    await slow.ask(Echo(3.0))
    assert [report.seconds for report in reports] == [1.0]
    assert "slow" in reports[0].stack


async def test_19_virtual_time_runs_asyncio_and_anyio_timers(system: TestSystem) -> None:
    import anyio

    began = system.now
    async with asyncio.timeout(10_000):
        await asyncio.sleep(3600)
    with anyio.move_on_after(50) as scope:
        await anyio.sleep(100)
    assert scope.cancelled_caught
    assert system.now == pytest.approx(began + 3650)


def test_19_a_deadlock_is_reported_instead_of_waited_for() -> None:
    loop = VirtualLoop()

    async def main() -> None:
        system = TestSystem()
        keeper = await system.spawn(Keeper, name="stuck")
        keeper.tell(Do(print))
        gate = asyncio.Event()
        waiter = await system.spawn(Waiter, gate, name="waiter")
        waiter.tell(Put(1))
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="/waiter awaits"):
        loop.run_until_complete(main())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop)))
    loop.close()


class Waiter(Actor):
    def __init__(self, gate: asyncio.Event) -> None:
        self.gate = gate

    @handles
    async def put(self, message: Put) -> None:
        await self.gate.wait()


def _trace_of_a_run(seed: int) -> list[Any]:
    loop = VirtualLoop()

    async def main() -> list[Any]:
        system = TestSystem(seed=seed)
        log: list[Any] = []

        class Noter(Actor):
            @handles
            async def put(self, message: Put) -> None:
                log.append((system.now, message.value))
                await asyncio.sleep(message.value % 3)
                if message.value:
                    refs[(message.value * 7) % 5].tell(Put(message.value - 1))

        refs = [await system.spawn(Noter) for _ in range(5)]
        for ref in refs:
            ref.tell(Put(20))
        await asyncio.sleep(100)
        await system.shutdown()
        return log

    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def test_19_a_seed_replays_and_another_seed_differs() -> None:
    assert _trace_of_a_run(1) == _trace_of_a_run(1)
    orders = {tuple(_trace_of_a_run(seed)) for seed in range(5)}
    assert len(orders) > 1


@pytest.mark.real_loop
async def test_20_threadsafe_is_bounded(system: TestSystem) -> None:
    keeper = await system.spawn(Keeper)
    system.gateway.capacity = 10
    for value in range(10):
        keeper.threadsafe.tell(Put(value))
    with pytest.raises(MailboxFull):
        keeper.threadsafe.tell(Put(10))
    assert system.gateway.refused == 1
    await asyncio.sleep(0)
    assert await keeper.ask(Get()) == list(range(10))


@pytest.mark.real_loop
async def test_20_after_a_fork_the_childs_system_is_dead_and_says_so(system: TestSystem) -> None:
    keeper = await system.spawn(Keeper)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        answer = b"no error"
        try:
            keeper.tell(Put(1))
        except ForkedSystem:
            try:
                keeper.threadsafe.tell(Put(1))
            except ForkedSystem:
                answer = b"forked"
        finally:
            os.write(write, answer)
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 100) == b"forked"
    os.close(read)
    os.close(write)
    keeper.tell(Put(2))
    assert await keeper.ask(Get()) == [2]


class Weird(BaseException):
    pass


@pytest.mark.parametrize(
    "error", [ValueError(), Weird(), asyncio.CancelledError(), StopIteration(), GeneratorExit()]
)
async def test_21_any_exception_fails_the_actor(system: TestSystem, error: BaseException) -> None:
    class Raising(Keeper):
        @handles
        async def do(self, message: Do) -> None:
            message.action(self)

    for kind in (Doer, Raising):

        def throw(_actor: Any) -> None:
            raise error

        ref = await system.spawn(kind, restart=PERMANENT)
        ref.tell(Do(throw))
        ref.tell(Put(1))
        assert await ref.ask(Get()) == [1]
        assert system.inspect(ref).restarts == 1
    assert system.dead_letters.reasons() == ["failed", "failed"]


class AwaitingDoer(Keeper):
    @handles
    async def do(self, message: Do) -> None:
        await asyncio.sleep(0.1)
        message.action(self)


@pytest.mark.parametrize("actor", [Doer, AwaitingDoer])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_21_keyboard_interrupt_begins_shutdown_and_leaves_the_loop(
    kind: type[BaseException], actor: type[Keeper]
) -> None:
    loop = VirtualLoop()
    systems: list[TestSystem] = []

    async def main() -> None:
        system = TestSystem()
        systems.append(system)
        doer = await system.spawn(actor)
        bystander = await system.spawn(Keeper)

        def interrupt(_actor: Any) -> None:
            raise kind

        doer.tell(Do(interrupt))
        bystander.tell(Put(1))
        await asyncio.sleep(10)

    with pytest.raises(kind):
        loop.run_until_complete(main())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    report = loop.run_until_complete(systems[0].shutdown())
    assert systems[0].cells() == []
    assert report.clean
    loop.close()


async def test_21_refuse_fails_only_the_ask(system: TestSystem) -> None:
    class Picky(Keeper):
        @handles
        async def echo(self, message: Echo) -> Any:
            self.values.append(message.value)
            raise Refuse(KeyError("no"))

    ref = await system.spawn(Picky)
    for _ in range(2):
        with pytest.raises(KeyError, match="no"):
            await ref.ask(Echo(1))
    assert await ref.ask(Get()) == [1, 1]


async def test_23_a_timer_queues_one_tick_at_a_time_and_counts_missed_ones(
    system: TestSystem,
) -> None:
    class Ticking(Doer):
        async def started(self) -> None:
            self.timer = self.timers.every(1.0, Put("tick"), key="t")

    ref = await system.spawn(Ticking)
    await asyncio.sleep(3.5)
    assert await ref.ask(Get()) == ["tick"] * 3
    system.suspend(ref)
    await asyncio.sleep(10.0)
    assert system.inspect(ref).lanes["normal"] == 1
    assert system.inspect(ref).missed_ticks == 9
    system.resume(ref)
    await system.settle()
    assert await ref.ask(Get()) == ["tick"] * 4
    ref.tell(Do(lambda actor: actor.timers.cancel("t")))
    await asyncio.sleep(10.0)
    assert await ref.ask(Get()) == ["tick"] * 4


async def test_23_keyed_and_single_timers(system: TestSystem) -> None:
    class Once(Doer):
        async def started(self) -> None:
            self.timers.once(1.0, Put("replaced"), key="k")
            self.timers.once(2.0, Put("kept"), key="k")
            self.timers.once(3.0, Put("other"))

    ref = await system.spawn(Once)
    await asyncio.sleep(10)
    assert await ref.ask(Get()) == ["kept", "other"]
    ref.tell(Do(lambda actor: actor.timers.once(5.0, Put("never"))))
    await system.settle()
    await ref.stop()
    await asyncio.sleep(10)


async def test_24_nothing_assumes_that_a_ref_is_local(system: TestSystem) -> None:
    told: list[Any] = []

    class Foreign:
        """The least that the protocol asks of what groups and topics send to."""

        path = "/elsewhere"
        alive = True

        def tell(self, message: Any, priority: Any = None, ttl: float | None = None) -> None:
            if len(told) >= 2:
                raise MailboxFull("no credit")  # overflow shows at the sender
            told.append(message)

    foreign: Any = Foreign()
    system.groups.join("g", foreign)
    system.topics.subscribe("t.*", foreign)
    system.registry.register("f", foreign)
    assert system.groups.publish("g", Put(1)) == Published(1, 0)
    assert system.topics.publish("t.x", Put(2)) == Published(1, 0)
    assert system.groups.publish("g", Put(3)) == Published(0, 1)
    assert told == [Put(1), Put(2)]
    assert await system.registry.wait_for("f") is foreign


async def test_25_the_stash_is_bounded_and_redelivered_in_order(system: TestSystem) -> None:
    class Door(Actor):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        async def started(self) -> None:
            self.become(self.closed, self.open_up, self.get)

        @handles
        def get(self, message: Get) -> list[Any]:
            return self.seen

        @handles(active=False)
        def closed(self, message: Put) -> None:
            self.stash()

        @handles(active=False)
        def open_up(self, message: Do) -> None:
            self.unbecome()
            self.unstash()

        @handles
        def enter(self, message: Put) -> None:
            self.seen.append(message.value)

    door = await system.spawn(Door, stash=3, restart=PERMANENT)
    for value in range(3):
        door.tell(Put(value))
    await system.settle()
    assert system.books()[0].stashed == 3
    system.assert_conserved()
    door.tell(Do(print))
    door.tell(Put(3))
    assert await door.ask(Get()) == [0, 1, 2, 3]
    system.assert_conserved()
    await door.stop()

    door = await system.spawn(Door, stash=1)
    for value in range(2):
        door.tell(Put(value))
    await system.settle()
    letters = system.dead_letters.letters()
    assert isinstance(letters[0].error, StashFull)
    assert [letter.reason for letter in letters] == ["failed", "stopped"]


def test_a_closed_loop_is_reported() -> None:
    loop = asyncio.new_event_loop()

    async def make() -> tuple[System, Ref[Any]]:
        system = System("closing")
        return system, await system.spawn(Keeper)

    _system, keeper = loop.run_until_complete(make())
    loop.close()
    with pytest.raises(SystemStopped):
        keeper.tell(Put(1))
    with pytest.raises(SystemStopped):
        keeper.threadsafe.tell(Put(1))


async def test_a_refs_of_another_system_on_the_same_loop_work(system: TestSystem) -> None:
    async with System("other") as other:
        theirs = await other.spawn(Keeper)
        doer = await system.spawn(Doer)
        doer.tell(Do(lambda _actor: theirs.tell(Put(1))))
        await system.settle()
        assert await theirs.ask(Get()) == [1]


async def test_failing_asks_carry_their_cause(system: TestSystem) -> None:
    keeper = await system.spawn(Doer, restart=PERMANENT)

    class Asker(Actor):
        @handles
        async def ask(self, message: Echo) -> Any:
            return await keeper.ask(message.value)

    asker = await system.spawn(Asker, restart=PERMANENT)

    class Bad(Echo):
        pass

    with pytest.raises(ActorFailed) as failure:
        await asker.ask(Echo(Fail(ZeroDivisionError())))  # type: ignore[arg-type]
    assert isinstance(failure.value.__cause__, ActorFailed)
    assert isinstance(failure.value.__cause__.__cause__, ZeroDivisionError)
    system.dead_letters.ignore()
