"""Semantics 13 to 16: supervision, monitors, links."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from rt_actors import Fail, Get, Keeper, Put

from airssys.rt import (
    ONE_FOR_ONE,
    PERMANENT,
    TEMPORARY,
    TRANSIENT,
    Actor,
    Backoff,
    Child,
    Down,
    Exit,
    Intensity,
    Priority,
    Reason,
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
