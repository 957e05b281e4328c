"""Semantics 13 to 16 in both worlds: supervision, monitors, links."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

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
    Bounded,
    Down,
    Exit,
    LimitExceeded,
    Reason,
    Restarted,
    RestartLimit,
    Supervisor,
    Tell,
    handles,
)

if TYPE_CHECKING:
    from worlds import ComponentWorld, World

    from airssys.rt import Strategy, SupervisorRef


async def start_three(
    world: World, strategy: Strategy, log: list[Any], **options: Any
) -> SupervisorRef:
    children = [world.child(name, log=log, **options) for name in "abc"]
    top = await world.system.start(Supervisor("top", strategy, children=children))
    assert log == ["+a", "+b", "+c"]
    log.clear()
    return top


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (ONE_FOR_ONE, ["!b", "-b", "+b"]),
        (ONE_FOR_ALL, ["-c", "!b", "-b", "-a", "+a", "+b", "+c"]),
        (REST_FOR_ONE, ["-c", "!b", "-b", "+b", "+c"]),
    ],
)
@pytest.mark.in_order
async def test_13_strategies_restart_whom_they_say(
    world: World, strategy: Strategy, expected: list[str]
) -> None:
    log: list[str] = []
    top = await start_three(world, strategy, log)
    for name in "abc":
        world.system.suspend(top.child(name))
    top.child("b").tell(world.fail())
    for name in "abc":
        top.child(name).tell(world.put(name))
    world.system.resume(top.child("b"))
    await world.system.settle()
    for name in "ac":
        world.system.resume(top.child(name))
    await world.system.settle()
    assert log == expected
    for name in "abc":  # the queue survived, whoever was restarted
        assert await world.kept(top.child(name)) == [name]
    world.system.dead_letters.ignore()


@pytest.mark.parametrize(
    ("restart", "how", "returns"),
    [
        (PERMANENT, "fail", True),
        (PERMANENT, "kill", True),
        (TRANSIENT, "fail", True),
        (TRANSIENT, "kill", True),
        (TEMPORARY, "fail", False),
        (TEMPORARY, "kill", False),
        (PERMANENT, "stop", False),
    ],
)
async def test_13_restart_types_decide_who_returns(
    world: World, restart: Any, how: str, returns: bool
) -> None:
    log: list[str] = []
    top = await start_three(world, ONE_FOR_ONE, log, restart=restart)
    ref = top.child("b")
    if how == "kill":
        ref.kill()
    elif how == "stop":
        await ref.stop()
    else:
        ref.tell(world.fail())
    await world.system.settle()
    assert ("b" in top.children) is returns
    assert ("+b" in log) is returns
    world.system.dead_letters.ignore()


async def test_13_many_equal_children(world: World) -> None:
    top = await world.system.start(Supervisor("many"))
    for number in range(50):
        await top.start_child(world.child(f"c{number}", restart=TEMPORARY))
    assert len(top.children) == 50
    await asyncio.gather(*(top.child(f"c{number}").stop() for number in range(0, 50, 2)))
    assert len(top.children) == 25


async def test_13_both_kinds_stand_in_one_tree(components: ComponentWorld) -> None:
    from worlds import PythonWorld

    python = PythonWorld(components.system)
    log: list[str] = []
    top = await components.system.start(
        Supervisor(
            "top",
            ONE_FOR_ALL,
            children=[python.child("p", log=log), components.child("c", log=log)],
        )
    )
    top.child("c").tell(components.fail())
    await components.system.settle()
    assert log == ["+p", "+c", "!c", "-c", "-p", "+p", "+c"]
    log.clear()
    top.child("p").tell(python.fail())
    await components.system.settle()
    assert log == ["-c", "!p", "-p", "+p", "+c"]
    components.system.dead_letters.ignore()


async def test_14_more_than_burst_in_period_escalates(world: World) -> None:
    exceeded: list[LimitExceeded] = []
    ended: list[ActorEnded] = []
    world.system.events.subscribe(exceeded.append, LimitExceeded)
    world.system.events.subscribe(ended.append, ActorEnded)
    log: list[str] = []
    top = await start_three(world, ONE_FOR_ONE, log)
    ref = top.child("b")
    for _ in range(3):
        ref.tell(world.fail())
        await asyncio.sleep(1.0)
    assert top.alive
    await asyncio.sleep(2.0)  # the first is older than the period now
    ref.tell(world.fail())
    await world.system.settle()
    assert top.alive
    log.clear()
    ref.tell(world.fail())
    await world.system.settle()
    assert not top.alive
    assert [entry for entry in log if entry[0] == "-"] == ["-c", "-b", "-a"]
    assert [event.child for event in exceeded] == [ref]
    assert isinstance(exceeded[0].error, RestartLimit)
    assert "broken" in str(exceeded[0].error)  # why it failed last
    assert ended[-1].ref == top
    assert ended[-1].reason.kind == "failed"
    world.system.dead_letters.ignore()


async def test_14_escalation_climbs_level_by_level(world: World) -> None:
    log: list[str] = []
    inner = Supervisor("inner", burst=1, children=[world.child("x", log=log)])
    outer = await world.system.start(Supervisor("outer", burst=1, children=[inner]))
    x = outer.child("inner/x")
    x.tell(world.fail())
    await world.system.settle()
    assert log == ["+x", "!x", "-x", "+x"]
    x.tell(world.fail())
    await world.system.settle()
    assert log[4:] == ["!x", "-x", "+x"]  # inner gave up; outer restarted it with a new child
    assert outer.child("inner/x") != x
    x.tell(world.put("to the old address"))
    assert await world.kept(outer.child("inner/x")) == []
    for _ in range(2):
        outer.child("inner/x").tell(world.fail())
        await world.system.settle()
    assert not outer.alive
    world.system.dead_letters.ignore()


async def test_14_restarts_without_healthy_uptime_escalate(world: World) -> None:
    log: list[str] = []
    top = await start_three(world, ONE_FOR_ONE, log, backoff=Backoff(6.0, 6.0))
    restarts: list[Any] = []
    world.system.events.subscribe(restarts.append, ActorRestarted)
    ref = top.child("b")
    for _ in range(11):
        ref.tell(world.fail())  # fails at once after each restart, 6 s apart
    await asyncio.sleep(1000)
    assert len(restarts) == 10
    assert not top.alive
    world.system.dead_letters.ignore()


async def test_14_the_delay_is_a_function_of_the_seed(world: World) -> None:
    times: list[float] = []
    world.system.events.subscribe(lambda _: times.append(world.system.now), ActorRestarted)
    keeper: Any = await world.keeper("k", restart=PERMANENT, backoff=Backoff(1.0, 30.0))
    began = world.system.now
    for _ in range(3):
        keeper.tell(world.fail())
        now = world.system.now
        while keeper.state == "restarting" or world.system.now == now:
            await asyncio.sleep(0.01)
    expected = [Backoff(1.0, 30.0).delay(n, f"{world.system.seed}:/k") for n in (1, 2, 3)]
    gaps = [times[0] - began, times[1] - times[0], times[2] - times[1]]
    assert gaps == pytest.approx(expected, abs=0.03)
    world.system.dead_letters.ignore()


async def test_15_shutdown_per_child(world: World) -> None:
    children = [
        world.child("kill", start="hang-stop", shutdown=0),
        world.child("short", start="hang-stop", shutdown=1.0),
        world.child("long", start="hang-stop", shutdown=3.0),
    ]
    top = await world.system.start(Supervisor("top", children=children))
    began = world.system.now
    await top.stop()
    assert world.system.now == pytest.approx(began + 4.0)
    world.system.leaks.clear()


@dataclass(frozen=True, slots=True)
class Watch(Tell[Any]):
    ref: Any
    restarts: bool = False


@dataclass(frozen=True, slots=True)
class Unwatch(Tell[Any]): ...


class Watcher(Actor):
    """Watches what it is told to, and keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[Any] = []
        self.monitors: list[Any] = []

    @handles
    def watch(self, message: Watch) -> None:
        self.monitors.append(message.ref.monitor(restarts=message.restarts))

    @handles
    def unwatch(self, message: Unwatch) -> None:
        for monitor in self.monitors:
            monitor.cancel()

    @handles(object)
    def notice(self, message: Any) -> list[Any]:
        if isinstance(message, (Down, Restarted, Exit)):
            self.notices.append(message)
        return self.notices


async def test_16_a_monitor_says_down_once_with_the_reason(world: World) -> None:
    watcher: Any = await world.system.spawn(Watcher)
    keeper: Any = None
    for how in ("stop", "kill", "fail"):
        keeper = await world.keeper("watched")
        watcher.tell(Watch(keeper))
        await world.system.settle()
        if how == "fail":
            keeper.tell(world.fail())
            await world.system.settle()
        else:
            await getattr(keeper, how)()
        assert world.system.find("/watched") is None
    downs = await watcher.ask("notices")
    assert [(type(down), down.reason.kind) for down in downs] == [
        (Down, "shutdown"),
        (Down, "killed"),
        (Down, "failed"),
    ]
    watcher.tell(Watch(keeper))  # dead already
    await world.system.settle()
    assert (await watcher.ask("notices"))[-1] == Down(keeper, Reason.NO_ACTOR)
    world.system.dead_letters.ignore()


async def test_16_none_after_demonitor(world: World) -> None:
    watcher: Any = await world.system.spawn(Watcher)
    keeper = await world.keeper()
    watcher.tell(Watch(keeper))
    watcher.tell(Unwatch())
    await world.system.settle()
    await keeper.stop()
    assert await watcher.ask("notices") == []


async def test_16_down_needs_no_room_and_finds_everything_gone(world: World) -> None:
    gone: list[Any] = []
    system = world.system

    class Checker(Watcher):
        @handles(object)
        def notice(self, message: Any) -> list[Any]:
            if isinstance(message, Down):
                gone.append(system.find("/watched"))
                gone.append(system.registry.whereis("w"))
                gone.append(system.groups.members("g"))
            return []

    checker: Any = await system.spawn(Checker, mailbox=Bounded(1))
    keeper = await world.keeper("watched")
    system.registry.register("w", keeper)
    system.groups.join("g", keeper)
    checker.tell(Watch(keeper))
    await system.settle()
    system.suspend(checker)
    checker.tell("full now")
    await keeper.stop()
    system.resume(checker)
    await system.settle()
    assert gone == [None, None, ()]


async def test_16_restarted_is_sent_if_asked(world: World) -> None:
    watcher: Any = await world.system.spawn(Watcher)
    keeper = await world.keeper(restart=PERMANENT)
    watcher.tell(Watch(keeper, restarts=True))
    await world.system.settle()
    keeper.tell(world.fail())
    await world.system.settle()
    assert [type(one) for one in await watcher.ask("notices")] == [Restarted]
    await keeper.stop()
    assert [type(one) for one in await watcher.ask("notices")] == [Restarted, Down]
    world.system.dead_letters.ignore()


class Linker(Actor):
    @handles
    def link(self, message: Watch) -> None:
        message.ref.link()


class Trapper(Watcher):
    trap_exits = True

    @handles
    def watch(self, message: Watch) -> None:
        message.ref.link()


@pytest.mark.parametrize("how", ["fail", "kill", "stop"])
async def test_16_links_fire_at_an_abnormal_end(world: World, how: str) -> None:
    linker: Any = await world.system.spawn(Linker)
    trapper: Any = await world.system.spawn(Trapper)
    target = await world.keeper()
    for one in (linker, trapper):
        one.tell(Watch(target))
    await world.system.settle()
    if how == "fail":
        target.tell(world.fail())
    else:
        getattr(target, how)()
    await world.system.settle()
    abnormal = how in ("fail", "kill")
    assert linker.alive is not abnormal
    exits = await trapper.ask("notices")
    assert [type(one) for one in exits] == ([Exit] if abnormal else [])
    if how == "kill":
        assert exits[0].reason == Reason.KILLED
    world.system.dead_letters.ignore()


async def test_16_a_link_takes_the_keeper_along(world: World) -> None:
    """The other way round: what the keeper is linked to ends abnormally."""
    linker: Any = await world.system.spawn(Linker)
    keeper = await world.keeper()
    linker.tell(Watch(keeper))
    await world.system.settle()
    await linker.kill()
    await world.system.settle()
    assert not keeper.alive
    world.system.dead_letters.ignore()


async def test_16_a_component_watches(components: ComponentWorld) -> None:
    keeper = await components.keeper()
    other = await components.system.spawn(Watcher, name="other")
    components.system.watch(keeper, other)
    await other.stop()
    await components.system.settle()
    books = components.system.inspect(keeper).books
    assert (books.accepted, books.handled) == (1, 1)
