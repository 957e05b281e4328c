"""Semantics 13 to 16: supervision, monitors, links."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from rt_actors import Fail, Get, Keeper, Put

from airssys.rt import (
    ONE_FOR_ALL,
    ONE_FOR_ONE,
    PERMANENT,
    REST_FOR_ONE,
    TEMPORARY,
    TRANSIENT,
    Actor,
    ActorEnded,
    ActorRestarted,
    Backoff,
    Child,
    Down,
    Exit,
    Intensity,
    LimitExceeded,
    Priority,
    Reason,
    Restarted,
    RestartLimit,
    Supervisor,
    Tell,
    handles,
)

if TYPE_CHECKING:
    from airssys.rt import Strategy, SupervisorRef
    from airssys.testing import TestSystem


@dataclass(frozen=True, slots=True)
class End(Tell[Any]): ...


class Child3(Keeper):
    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__()
        self.name, self.journal = name, log

    async def started(self) -> None:
        self.journal.append(f"+{self.name}")

    async def stopped(self, reason: Reason) -> None:
        self.journal.append(f"-{self.name}")

    @handles
    def end(self, message: End) -> None:
        self.stop()


async def start_three(
    system: TestSystem, strategy: Strategy, log: list[str], **options: Any
) -> SupervisorRef:
    children = [Child(name, Child3, name, log, **options) for name in "abc"]
    top = await system.start(Supervisor("top", strategy, children=children))
    assert log == ["+a", "+b", "+c"]
    log.clear()
    return top


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (ONE_FOR_ONE, ["-b", "+b"]),
        (ONE_FOR_ALL, ["-c", "-b", "-a", "+a", "+b", "+c"]),
        (REST_FOR_ONE, ["-c", "-b", "+b", "+c"]),
    ],
)
@pytest.mark.in_order
async def test_13_strategies(system: TestSystem, strategy: Strategy, expected: list[str]) -> None:
    log: list[str] = []
    top = await start_three(system, strategy, log)
    top.child("b").tell(Fail(ValueError()))
    for name in "abc":
        top.child(name).tell(Put(name))
    await system.settle()
    assert log == expected
    for name in "abc":  # the queue survived, whoever was restarted
        assert await top.child(name).ask(Get()) == [name]
    system.dead_letters.ignore()


@pytest.mark.parametrize(
    ("restart", "message", "returns"),
    [
        (PERMANENT, "fail", True),
        (PERMANENT, "end", True),
        (PERMANENT, "kill", True),
        (TRANSIENT, "fail", True),
        (TRANSIENT, "end", False),
        (TRANSIENT, "kill", True),
        (TEMPORARY, "fail", False),
        (TEMPORARY, "end", False),
        (TEMPORARY, "kill", False),
        (PERMANENT, "stop", False),
    ],
)
async def test_13_restart_types(
    system: TestSystem, restart: Any, message: str, returns: bool
) -> None:
    log: list[str] = []
    top = await start_three(system, ONE_FOR_ONE, log, restart=restart)
    ref = top.child("b")
    if message == "kill":
        ref.kill()
    elif message == "stop":
        await ref.stop()
    else:
        ref.tell(End() if message == "end" else Fail(ValueError()))
    await system.settle()
    assert ("b" in top.children) is returns
    assert ("+b" in log) is returns
    system.dead_letters.ignore()


async def test_13_dynamic_supervisors_take_many_equal_children(system: TestSystem) -> None:
    log: list[str] = []
    top = await system.start(Supervisor("many"))
    for number in range(100):
        await top.start_child(Child(f"c{number}", Child3, str(number), log, restart=TEMPORARY))
    assert len(top.children) == 100
    await asyncio.gather(*(top.child(f"c{number}").stop() for number in range(0, 100, 2)))
    assert len(top.children) == 50


async def test_14_more_than_burst_in_period_escalates(system: TestSystem) -> None:
    exceeded: list[LimitExceeded] = []
    ended: list[ActorEnded] = []
    system.events.subscribe(exceeded.append, LimitExceeded)
    system.events.subscribe(ended.append, ActorEnded)
    log: list[str] = []
    top = await start_three(system, ONE_FOR_ONE, log)
    ref = top.child("b")
    for _ in range(3):
        ref.tell(Fail(ValueError()))
        await asyncio.sleep(1.0)
    assert top.alive
    await asyncio.sleep(2.0)  # the first is older than the period now
    ref.tell(Fail(ValueError()))
    await system.settle()
    assert top.alive
    log.clear()
    ref.tell(Fail(ValueError()))
    await system.settle()
    assert not top.alive
    assert log == ["-c", "-b", "-a"]
    assert [event.child for event in exceeded] == [ref]
    assert isinstance(exceeded[0].error, RestartLimit)
    assert ended[-1].ref == top
    assert ended[-1].reason.kind == "failed"
    system.dead_letters.ignore()


async def test_14_escalation_climbs_level_by_level(system: TestSystem) -> None:
    log: list[str] = []
    inner = Supervisor("inner", burst=1, children=[Child("x", Child3, "x", log)])
    outer = await system.start(Supervisor("outer", burst=1, children=[inner]))
    x = outer.child("inner/x")
    x.tell(Fail(ValueError()))
    await system.settle()
    assert log == ["+x", "-x", "+x"]
    x.tell(Fail(ValueError()))
    await system.settle()
    assert log[3:] == ["-x", "+x"]  # inner gave up; outer restarted it with a new child
    assert outer.child("inner/x") != x
    for _ in range(2):
        outer.child("inner/x").tell(Fail(ValueError()))
        await system.settle()
    assert not outer.alive
    system.dead_letters.ignore()


async def test_14_backoff_does_not_disable_intensity(system: TestSystem) -> None:
    log: list[str] = []
    top = await start_three(system, ONE_FOR_ONE, log, backoff=Backoff(6.0, 6.0))
    restarts: list[Any] = []
    system.events.subscribe(restarts.append, ActorRestarted)
    ref = top.child("b")
    for _ in range(11):
        ref.tell(Fail(ValueError()))  # fails at once after each restart, 6 s apart
    await asyncio.sleep(1000)
    assert len(restarts) == 10
    assert not top.alive
    system.dead_letters.ignore()


async def test_14_consecutive_restarts_without_healthy_uptime_escalate(
    system: TestSystem,
) -> None:
    class Never(Actor):
        starts = 0

        async def started(self) -> None:
            Never.starts += 1
            if Never.starts > 1:
                raise ValueError("again")

        @handles
        def fail(self, message: Fail) -> None:
            raise message.error

    top = await system.start(
        Supervisor("top", children=[Child("n", Never, backoff=Backoff(10.0, 10.0))])
    )
    top.child("n").tell(Fail(ValueError()))
    await asyncio.sleep(1000)
    assert Never.starts == 11  # the first, and ten restarts that failed to start
    assert not top.alive
    system.dead_letters.ignore()


async def test_14_healthy_uptime_forgives(system: TestSystem) -> None:
    log: list[str] = []
    top = await start_three(system, ONE_FOR_ONE, log, max_consecutive=2)
    for _ in range(20):
        top.child("b").tell(Fail(ValueError()))
        await asyncio.sleep(6.0)
    assert top.alive
    system.dead_letters.ignore()


def test_14_backoff_is_a_pure_function_within_its_bounds() -> None:
    backoff = Backoff(0.1, 30.0)
    for attempt in range(1, 200):
        delays = [backoff.delay(attempt, seed) for seed in range(50)]
        ceiling = min(30.0, 0.1 * 2.0 ** min(attempt, 1000))
        assert all(0.1 <= delay <= ceiling for delay in delays)
        assert delays == [backoff.delay(attempt, seed) for seed in range(50)]
        assert max(delays) > 0.1 + 0.8 * (ceiling - 0.1)  # uses its whole range
        assert min(delays) < 0.1 + 0.2 * (ceiling - 0.1)


async def test_14_the_delay_is_waited(system: TestSystem) -> None:
    times: list[float] = []
    system.events.subscribe(lambda _: times.append(system.now), ActorRestarted)
    keeper = await system.spawn(Keeper, restart=PERMANENT, backoff=Backoff(1.0, 30.0), name="k")
    for _ in range(3):
        keeper.tell(Fail(ValueError()))
        began = system.now
        while keeper.state == "restarting" or system.now == began:
            await asyncio.sleep(0.01)
    expected = [Backoff(1.0, 30.0).delay(n, f"{system.seed}:/k") for n in (1, 2, 3)]
    gaps = [times[0], times[1] - times[0], times[2] - times[1]]
    assert gaps == pytest.approx(expected, abs=0.02)
    system.dead_letters.ignore()


def test_14_intensity_model() -> None:
    intensity = Intensity(3, 5.0)
    assert [intensity.allow(at) for at in (0, 1, 2, 3)] == [True, True, True, False]
    intensity = Intensity(3, 5.0)
    assert all(intensity.allow(at * 2.0) for at in range(100))


async def test_15_shutdown_per_child_kill_timeout_infinity(system: TestSystem) -> None:
    log: list[str] = []

    class Slow(Child3):
        async def stopped(self, reason: Reason) -> None:
            await asyncio.sleep(3.0)
            log.append(f"-{self.name}")

    children = [
        Child("kill", Slow, "kill", log, shutdown=0),
        Child("short", Slow, "short", log, shutdown=1.0),
        Child("long", Slow, "long", log, shutdown=10.0),
    ]
    top = await system.start(Supervisor("top", children=children))
    log.clear()
    began = system.now
    await top.stop()
    assert log == ["-long"]
    assert system.now == pytest.approx(began + 4.0)
    system.leaks.clear()


@pytest.mark.parametrize(("auto", "ends"), [("never", [4]), ("any", [1]), ("all", [2])])
async def test_15_auto_shutdown_on_significant_children(
    system: TestSystem, auto: Any, ends: list[int]
) -> None:
    log: list[str] = []
    children = [
        Child(name, Child3, name, log, restart=TRANSIENT, significant=name in "ab")
        for name in "abc"
    ]
    top = await system.start(Supervisor("top", children=children, auto_shutdown=auto))
    steps = 0
    for name in "cab":
        if name not in top.children:
            break
        await top.child(name).stop()
        await system.settle()
        steps += name != "c"
        if not top.alive:
            break
    assert ([steps] if not top.alive else [4]) == ends


class Watcher(Keeper):
    @handles
    def watch(self, message: Watch) -> None:
        self.monitors = [message.ref.monitor(restarts=message.restarts)]

    @handles
    def unwatch(self, message: End) -> None:
        for monitor in self.monitors:
            monitor.cancel()


@dataclass(frozen=True, slots=True)
class Watch(Tell[Any]):
    ref: Any
    restarts: bool = False


async def test_16_a_monitor_says_down_once_with_the_reason(system: TestSystem) -> None:
    watcher = await system.spawn(Watcher)
    for how in ("stop", "kill", "fail"):
        keeper = await system.spawn(Keeper, name="watched")
        watcher.tell(Watch(keeper))
        await system.settle()
        if how == "fail":
            keeper.tell(Fail(ValueError("x")))
            await system.settle()
        else:
            await getattr(keeper, how)()
        assert system.find("/watched") is None
    downs = await watcher.ask(Get())
    assert [(type(down), down.reason.kind) for down in downs] == [
        (Down, "shutdown"),
        (Down, "killed"),
        (Down, "failed"),
    ]
    watcher.tell(Watch(keeper))  # dead already
    await system.settle()
    assert (await watcher.ask(Get()))[-1] == Down(keeper, Reason.NO_ACTOR)
    system.dead_letters.ignore()


async def test_16_none_after_demonitor(system: TestSystem) -> None:
    watcher = await system.spawn(Watcher)
    keeper = await system.spawn(Keeper)
    watcher.tell(Watch(keeper))
    await system.settle()
    watcher.tell(End())
    await system.settle()
    await keeper.stop()
    assert await watcher.ask(Get()) == []


@pytest.mark.parametrize("seed", range(5))
async def test_16_down_comes_after_everything_the_target_sent_in_any_lane(
    system: TestSystem, seed: int
) -> None:
    watcher = await system.spawn(Watcher)

    class Talker(Actor):
        @handles
        def go(self, message: End) -> None:
            for priority in Priority:
                for value in range(20):
                    watcher.tell(Put((priority, value)), priority)
            self.stop()

    talker = await system.spawn(Talker)
    watcher.tell(Watch(talker))
    await system.settle()
    talker.tell(End())
    await system.settle()
    values = await watcher.ask(Get())
    assert len(values) == 81
    assert isinstance(values[-1], Down)


async def test_16_down_needs_no_room_and_finds_everything_gone(system: TestSystem) -> None:
    from airssys.rt import Bounded

    gone: list[Any] = []

    class Checker(Watcher):
        @handles(Down)
        def notice(self, message: Down) -> None:
            gone.append(system.find("/parent"))
            gone.append(system.find("/parent/child"))
            gone.append(system.registry.whereis("p"))
            gone.append(system.groups.members("g"))

    class Parent(Keeper):
        async def started(self) -> None:
            await self.spawn(Keeper, name="child")

    checker = await system.spawn(Checker, mailbox=Bounded(1))
    parent = await system.spawn(Parent, name="parent")
    system.registry.register("p", parent)
    system.groups.join("g", parent)
    checker.tell(Watch(parent))
    await system.settle()
    system.suspend(checker)
    checker.tell(Put(1))  # full now
    await parent.stop()
    system.resume(checker)
    await system.settle()
    assert gone == [None, None, None, ()]


async def test_16_restarted_is_sent_if_asked(system: TestSystem) -> None:
    watcher = await system.spawn(Watcher)
    keeper = await system.spawn(Keeper, restart=PERMANENT)
    watcher.tell(Watch(keeper, restarts=True))
    await system.settle()
    keeper.tell(Fail(ValueError()))
    await system.settle()
    (notice,) = await watcher.ask(Get())
    assert isinstance(notice, Restarted)
    await keeper.stop()
    assert [type(one) for one in await watcher.ask(Get())] == [Restarted, Down]
    system.dead_letters.ignore()


class Linker(Keeper):
    @handles
    def link(self, message: Watch) -> None:
        message.ref.link()

    @handles
    def unlink(self, message: End) -> None:
        self.stop()


class Trapper(Linker):
    trap_exits = True


@pytest.mark.parametrize("how", ["fail", "kill", "stop", "end"])
async def test_16_links_fire_at_an_abnormal_end(system: TestSystem, how: str) -> None:
    linker = await system.spawn(Linker)
    trapper = await system.spawn(Trapper)
    target = await system.spawn(Linker)
    for one in (linker, trapper):
        one.tell(Watch(target))
    await system.settle()
    if how == "fail":
        target.tell(Fail(ValueError()))
    elif how == "end":
        target.tell(End())
    elif how == "kill":
        target.kill()
    else:
        target.stop()
    await system.settle()
    abnormal = how in ("fail", "kill")
    assert linker.alive is not abnormal
    exits = await trapper.ask(Get())
    assert [type(one) for one in exits] == ([Exit] if abnormal else [])
    if how == "kill":
        assert exits[0].reason == Reason.KILLED
    system.dead_letters.ignore()


async def test_16_links_fire_at_the_end_of_an_incarnation_even_if_it_restarts(
    system: TestSystem,
) -> None:
    trapper = await system.spawn(Trapper)
    target = await system.spawn(Linker, restart=PERMANENT)
    trapper.tell(Watch(target))
    await system.settle()
    for _ in range(2):  # the link is gone with the first incarnation
        target.tell(Fail(ValueError()))
        await system.settle()
    assert len(await trapper.ask(Get())) == 1
    assert target.alive
    system.dead_letters.ignore()


async def test_16_a_watcher_that_ignores_down_lives_on(system: TestSystem) -> None:
    class Deaf(Actor):
        @handles
        def watch(self, message: Watch) -> None:
            message.ref.monitor()

        @handles
        def get(self, message: Get) -> list[Any]:
            return ["alive"]

    deaf = await system.spawn(Deaf)
    keeper = await system.spawn(Keeper)
    deaf.tell(Watch(keeper))
    await system.settle()
    await keeper.stop()
    assert await deaf.ask(Get()) == ["alive"]
    assert system.dead_letters.reasons() == ["unhandled"]
