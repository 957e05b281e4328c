"""Semantics 17 to 25 in both worlds: inspection, time, threads, publishing, timers."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

from airssys.rt import (
    PERMANENT,
    Actor,
    ActorFailed,
    ActorRestarted,
    Bounded,
    Health,
    HealthCheck,
    InvalidSpec,
    Published,
    RequestDropped,
    Unhealthy,
    WrongThread,
    handles,
)

if TYPE_CHECKING:
    from worlds import ComponentWorld, World


async def test_17_inspection_needs_no_help(world: World) -> None:
    keeper = await world.keeper("k")
    keeper.tell(world.put(1))
    await world.system.settle()
    gate = await world.gate()
    ask = asyncio.ensure_future(keeper.ask(world.wait(gate)))
    await world.system.settle()
    keeper.tell(world.put(2))
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(world.system.inspect(keeper)))
    thread.start()
    thread.join()
    (inspection,) = found
    assert (inspection.state, inspection.path) == ("running", "/k")
    assert inspection.lanes["normal"] == 1
    assert inspection.snapshot is None  # a handler is in flight
    assert inspection.awaits
    assert (inspection.books.in_flight, inspection.books.pending) == (1, 1)
    gate.open()
    await ask


async def test_17_suspend_and_resume(world: World) -> None:
    keeper = await world.keeper()
    world.system.suspend(keeper)
    keeper.tell(world.put(1))
    await asyncio.sleep(10)
    assert world.system.inspect(keeper).lanes["normal"] == 1
    world.system.resume(keeper)
    assert await world.kept(keeper) == [1]


async def test_17_the_tree_shows_it(world: World) -> None:
    from io import StringIO

    from rich.console import Console

    await world.keeper("k")
    out = StringIO()
    Console(file=out, width=80).print(world.system.tree())
    assert "k " in out.getvalue()
    assert "running" in out.getvalue()


async def test_17_state_is_read_by_snapshot_when_idle(components: ComponentWorld) -> None:
    keeper = await components.keeper("k")
    keeper.tell(components.put(1))
    await components.system.settle()
    assert b'"tag":1' in await keeper.snapshot()
    with pytest.raises(InvalidSpec, match="restore"):
        components.system.replace_state(keeper, lambda _: None)


async def test_17_health_is_asked_when_idle(components: ComponentWorld) -> None:
    from worlds import do

    keeper = await components.keeper(
        restart=PERMANENT, settings={"health_interval": 1.0, "health_failures": 2}
    )
    assert components.system.inspect(keeper).health == "unknown"
    await asyncio.sleep(1.5)
    assert components.system.inspect(keeper).health == "healthy"
    keeper.tell(do(["health", "degraded", "slow"]))
    await asyncio.sleep(1.0)
    assert components.system.inspect(keeper).health == "degraded"
    gate = await components.gate()
    busy = asyncio.ensure_future(keeper.ask(components.wait(gate), 100.0))
    await asyncio.sleep(20.0)  # it is not judged while it is busy
    assert components.system.inspect(keeper).restarts == 0
    gate.open()
    await busy
    reasons: list[Any] = []
    components.system.events.subscribe(lambda event: reasons.append(event.reason), ActorRestarted)
    keeper.tell(do(["health", "unhealthy", "broken"]))
    await asyncio.sleep(3.5)
    assert components.system.inspect(keeper).restarts == 1
    assert [type(reason.error) for reason in reasons] == [Unhealthy]
    assert await keeper.health() is Health.HEALTHY  # the new instance


async def test_17_health_waits_for_the_end_of_a_message(components: ComponentWorld) -> None:
    from worlds import do

    keeper = await components.keeper()
    keeper.tell(do(["sleep", 2.0]))
    await asyncio.sleep(0.5)
    began = components.system.now
    # Whoever does not wait so long learns that it is not known.
    assert await keeper.health(1.0) is Health.UNKNOWN
    assert components.system.now == pytest.approx(began + 1.0)
    assert await keeper.health(5.0) is Health.HEALTHY
    assert components.system.now == pytest.approx(began + 1.5)
    # One that is not asked between messages, because it is suspended, does not answer at all.
    components.system.suspend(keeper)
    assert await keeper.health(1.0) is Health.UNKNOWN


async def test_17_python_actors_have_the_same_health(world: World) -> None:
    keeper = await world.keeper()

    async def check(_ref: Any) -> Health:
        return Health.DEGRADED

    HealthCheck(world.system, keeper, check, interval=1.0)
    await asyncio.sleep(1.5)
    assert world.system.inspect(keeper).health == "degraded"
    await keeper.stop()


async def test_18_a_component_over_its_time_is_interrupted(components: ComponentWorld) -> None:
    from worlds import do

    keeper = await components.keeper(restart=PERMANENT)
    began = components.system.now
    with pytest.raises(ActorFailed):
        await keeper.ask(do(["sleep", 1e6]), 1000.0)
    assert components.system.now == pytest.approx(began + 30.0, abs=0.1)  # its call timeout
    assert await keeper.ask(components.echo("again")) == "again"
    components.system.dead_letters.ignore()


@pytest.mark.parametrize("seed", [1, 2])
async def test_19_time_is_virtual(world: World, seed: int) -> None:
    keeper = await world.keeper()
    began = world.system.now
    await asyncio.sleep(3600)
    assert await keeper.ask(world.echo(1)) == 1
    assert world.system.now == began + 3600


async def test_19_guests_timers_are_on_the_same_clock(components: ComponentWorld) -> None:
    from worlds import do

    keeper = await components.keeper()
    keeper.tell(do(["send-after", 5.0, {"tag": "later"}]))
    await asyncio.sleep(4.9)
    assert await components.kept(keeper) == []
    await asyncio.sleep(0.2)
    assert await components.kept(keeper) == ["later"]


@pytest.mark.real_loop
async def test_20_other_threads_use_threadsafe(world: World) -> None:
    keeper = await world.keeper()
    errors: list[BaseException] = []
    results: list[Any] = []

    def elsewhere() -> None:
        for call in (
            lambda: keeper.tell(world.put(0)),
            lambda: keeper.ask(world.echo()),
            keeper.stop,
            keeper.kill,
        ):
            try:
                call()
            except WrongThread as error:
                errors.append(error)
        for value in range(100):
            keeper.threadsafe.tell(world.put(value))
        results.append(keeper.threadsafe.ask(world.echo("end")).result(10))

    await asyncio.to_thread(elsewhere)
    assert len(errors) == 4
    assert results == ["end"]
    assert await world.kept(keeper) == list(range(100))


async def test_21_any_failure_fails_the_actor(world: World) -> None:
    keeper = await world.keeper(restart=PERMANENT)
    keeper.tell(world.fail())
    keeper.tell(world.put(1))
    assert await world.kept(keeper) == [1]
    assert world.system.inspect(keeper).restarts == 1
    assert world.system.dead_letters.reasons() == ["failed"]


@pytest.mark.parametrize(
    "ending", [["trap"], ["panic", "why"], ["exit", 3], ["recurse"], ["allocate", 1 << 31]]
)
async def test_21_whatever_a_component_does_to_end(
    components: ComponentWorld, ending: list[Any]
) -> None:
    from worlds import do

    keeper = await components.keeper(restart=PERMANENT)
    with pytest.raises(ActorFailed):
        await keeper.ask(do(ending))
    assert await keeper.ask(components.echo("again")) == "again"
    assert components.system.inspect(keeper).restarts == 1
    assert components.system.dead_letters.reasons() == ["failed"]


async def test_21_a_refusal_fails_only_the_ask(world: World) -> None:
    from airssys.wasm.actors import GuestRefused

    keeper = await world.keeper()
    expected: Any = GuestRefused if world.kind == "component" else ValueError
    with pytest.raises(expected, match="not today"):
        await keeper.ask(world.refuse("not today"))
    keeper.tell(world.refuse("not even now"))
    assert await keeper.ask(world.echo("still")) == "still"
    seen = world.system.inspect(keeper)
    assert seen.restarts == 0
    # A message that was refused was handled: no dead letter, in neither world.
    assert world.system.dead_letters.reasons() == []
    books = seen.books
    assert (books.accepted, books.handled, books.dead) == (3, 3, 0)
    assert (books.asked, books.answered, books.failed) == (2, 1, 1)


async def test_22_publish_never_waits_and_says_how_many(world: World) -> None:
    keepers = [await world.keeper(mailbox=Bounded(1)) for _ in range(3)]
    for keeper, pattern in zip(keepers, ("orders.*.paid", "orders.**", "orders.eu.*"), strict=True):
        world.system.topics.subscribe(pattern, keeper)
        world.system.topics.subscribe("**", keeper)
    world.system.suspend(keepers[0])
    assert world.system.topics.publish("orders.eu.paid", world.put(1)) == Published(3, 0)
    await world.system.settle()
    assert world.system.topics.publish("orders.eu.paid", world.put(2)) == Published(2, 1)
    await world.system.settle()
    await keepers[2].stop()
    assert world.system.topics.publish("other", world.put(3)) == Published(1, 1)
    world.system.dead_letters.ignore()


async def test_22_groups(world: World) -> None:
    keepers = [await world.keeper() for _ in range(3)]
    for keeper in keepers:
        world.system.groups.join("g", keeper)
    assert world.system.groups.publish("g", world.put(1)) == Published(3, 0)
    await keepers[0].stop()
    assert world.system.groups.members("g") == tuple(keepers[1:])
    assert await world.kept(keepers[1]) == [1]
    await world.system.settle()
    world.system.dead_letters.ignore()


async def test_23_one_tick_is_queued_at_a_time(components: ComponentWorld) -> None:
    from worlds import do

    keeper = await components.keeper()
    keeper.tell(do(["every", 1.0, {"tag": "tick"}]))
    await asyncio.sleep(3.5)
    assert await components.kept(keeper) == ["tick"] * 3
    components.system.suspend(keeper)
    await asyncio.sleep(10.0)
    assert components.system.inspect(keeper).lanes["normal"] == 1
    components.system.resume(keeper)
    await components.system.settle()
    assert await components.kept(keeper) == ["tick"] * 4
    assert components.system.inspect(keeper).missed_ticks == 9


class Slow(Actor):
    """Takes one message at a time, when it is let."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    @handles(object)
    async def take(self, message: Any) -> list[Any]:
        self.seen.append(message)
        return self.seen


async def test_24_overflow_shows_at_the_component_that_sends(components: ComponentWorld) -> None:
    from worlds import do

    slow = await components.system.spawn(Slow, mailbox=Bounded(5))
    components.exchange.expose(slow, "test/slow")
    keeper = await components.keeper()
    components.system.suspend(slow)
    (flooded,) = await keeper.ask(do(["flood", "test/slow", 8, {"tag": 1}]))
    assert flooded == {"ok": 5, "refused": {"mailbox-full": 3}}
    components.system.resume(slow)
    await components.system.settle()
    assert len(await slow.ask("seen")) == 6
    (flooded,) = await keeper.ask(do(["flood", "test/slow", 5, {"tag": 1}]))
    assert flooded == {"ok": 5, "refused": {}}  # the credit has come back
    await components.system.settle()
    assert (await slow.ask("seen"))[0] == {"tag": 1}


async def test_24_python_actors_and_components_ask_each_other(components: ComponentWorld) -> None:
    from worlds import do

    class Doubler(Actor):
        @handles
        async def double(self, message: dict[str, Any]) -> dict[str, Any]:
            assert self.sender == keeper
            if message["n"] < 0:
                raise ValueError("negative")
            return {"n": message["n"] * 2}

    keeper = await components.keeper()
    doubler = await components.system.spawn(Doubler, restart=PERMANENT)
    components.system.registry.register("test/doubler", doubler)  # reachable by its name
    (found,) = await keeper.ask(do(["ask", "test/doubler", {"n": 21}, 5.0]))
    assert found == {"ok": {"n": 42}}
    (failed,) = await keeper.ask(do(["ask", "test/doubler", {"n": -1}, 5.0]))
    assert failed["error"] == "failed"
    (unhandled,) = await keeper.ask(do(["ask", "test/doubler", [1], 5.0]))
    assert unhandled["error"] == "dropped"
    await doubler.stop()
    (gone,) = await keeper.ask(do(["ask", "test/doubler", {"n": 1}, 5.0]))
    assert gone["error"] in {"no-actor", "stopped"}
    components.system.dead_letters.ignore()


async def test_refs_pickle_by_name(world: World) -> None:
    keeper = await world.keeper("k")
    assert pickle.loads(pickle.dumps(keeper)) is keeper
    assert {keeper: 1}[keeper] == 1
    data = pickle.dumps(keeper)
    await keeper.stop()
    await world.keeper("k")
    gone = pickle.loads(data)
    assert not gone.alive
    gone.tell(world.put(1))
    with pytest.raises(RequestDropped):
        await gone.ask(world.echo())
    assert world.system.dead_letters.reasons() == ["no_actor", "no_actor"]
