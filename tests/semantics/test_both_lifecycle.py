"""Semantics 9 to 12 in both worlds: lifecycle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from airssys.rt import (
    PERMANENT,
    ActorFailed,
    AskTimeout,
    Backoff,
    Bounded,
    NameTaken,
    RequestDropped,
    SpawnFailed,
    Supervisor,
    WaitTimeout,
)

if TYPE_CHECKING:
    from worlds import ComponentWorld, World


@pytest.mark.parametrize("start", ["raise", "hang"])
async def test_09_a_failed_start_leaves_nothing_behind(world: World, start: str) -> None:
    log: list[str] = []
    began = world.system.now
    with pytest.raises(SpawnFailed) as failure:
        await world.keeper("a", start=start, log=log)
    if start == "hang":
        assert isinstance(failure.value.__cause__, WaitTimeout)
        assert world.system.now == pytest.approx(began + 5.0)
    assert world.system.find("/a") is None
    await world.keeper("a", log=log)
    assert log == ["+a"]


async def test_09_the_name_is_reserved_while_it_starts(world: World) -> None:
    first = asyncio.create_task(world.keeper("a"))
    await asyncio.sleep(0)
    with pytest.raises(NameTaken):
        await world.keeper("a")
    await first


async def test_09_a_cancelled_spawn_leaves_nothing_behind(world: World) -> None:
    log: list[str] = []
    spawning = asyncio.create_task(world.keeper("a", start="hang", log=log))
    await asyncio.sleep(1.0)
    assert world.system.find("/a") is not None
    spawning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await spawning
    await world.system.settle()
    assert world.system.find("/a") is None
    assert log == []


async def test_09_a_child_that_fails_stops_the_earlier_ones_in_reverse(world: World) -> None:
    log: list[str] = []
    children = [
        world.child("a", log=log),
        world.child("b", log=log),
        world.child("c", log=log, start="raise"),
    ]
    with pytest.raises(SpawnFailed):
        await world.system.start(Supervisor("top", children=children))
    await world.system.settle()
    assert log == ["+a", "+b", "-b", "-a"]
    assert world.system.find("/top") is None


async def test_09_a_ref_survives_restarts_and_reaches_no_later_actor(world: World) -> None:
    one = await world.keeper("k", restart=PERMANENT)
    one.tell(world.fail())
    one.tell(world.put(1))
    assert await world.kept(one) == [1]
    await one.stop()
    two = await world.keeper("k")
    one.tell(world.put(2))
    assert await world.kept(two) == []
    assert one != two
    assert world.system.dead_letters.reasons() == ["failed", "no_actor"]


async def test_09_each_transition_is_an_event(world: World) -> None:
    names: list[str] = []
    world.system.events.subscribe(lambda event: names.append(type(event).__name__))
    keeper = await world.keeper(restart=PERMANENT)
    keeper.tell(world.fail())
    await world.system.settle()
    world.system.suspend(keeper)
    world.system.resume(keeper)
    await keeper.stop()
    assert names == [
        "ActorStarted",
        "DeadLetter",
        "ActorFailing",
        "ActorRestarting",
        "ActorRestarted",
        "ActorSuspended",
        "ActorResumed",
        "ActorStopping",
        "ActorEnded",
    ]
    world.system.dead_letters.ignore()


async def test_09_states_have_names(world: World) -> None:
    starting = asyncio.create_task(world.keeper("a", start="hang-stop"))
    while world.system.find("/a") is None:
        await asyncio.sleep(0)
    ref: Any = world.system.find("/a")
    await starting
    states = [ref.state]
    world.system.suspend(ref)
    states.append(ref.state)
    world.system.resume(ref)
    stop = ref.stop()
    await asyncio.sleep(1)
    states.append(ref.state)
    await stop
    states.append(ref.state)
    assert states == ["running", "suspended", "stopping", "stopped"]


async def test_10_stop_lets_the_handler_end(world: World) -> None:
    log: list[str] = []
    keeper = await world.keeper("k", log=log)
    gate = await world.gate()
    ask = asyncio.ensure_future(keeper.ask(world.wait(gate)))
    await world.system.settle()
    keeper.tell(world.put(1))
    stop = keeper.stop()
    await asyncio.sleep(1)
    assert not stop.done()
    gate.open()
    assert await ask == "waited"
    assert (await stop).kind == "shutdown"
    assert log == ["+k", "-k"]
    await world.system.settle()
    assert world.system.dead_letters.reasons() == ["stopped"]


async def test_10_drain_follows_the_queue(world: World) -> None:
    keeper = await world.keeper()
    for value in range(5):
        keeper.tell(world.put(value))
    answer = asyncio.ensure_future(world.kept(keeper))
    await asyncio.sleep(0)
    stop = keeper.stop(drain=True)
    keeper.tell(world.put("late"))
    assert await answer == [0, 1, 2, 3, 4]
    assert (await stop).kind == "shutdown"
    assert world.system.dead_letters.reasons() == ["stopped"]


async def test_10_a_stop_has_a_deadline_and_then_is_a_kill(world: World) -> None:
    keeper = await world.keeper(start="hang-stop")
    began = world.system.now
    assert (await keeper.stop(timeout=2.0)).kind == "killed"
    assert world.system.now == pytest.approx(began + 2.0)


async def test_10_kill_skips_hooks(world: World) -> None:
    log: list[str] = []
    keeper = await world.keeper("k", log=log)
    await keeper.kill()
    assert log == ["+k"]
    assert not keeper.alive


async def test_10_children_stop_in_reverse_order(world: World) -> None:
    log: list[str] = []
    children = [world.child(name, log=log) for name in "abc"]
    top = await world.system.start(Supervisor("top", children=children))
    await top.stop()
    assert log == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_10_awaiting_a_kill_ends_with_the_incarnation(world: World) -> None:
    keeper = await world.keeper(restart=PERMANENT, backoff=Backoff(5.0, 5.0))
    keeper.tell(world.put(1))
    await world.system.settle()
    assert (await keeper.kill()).kind == "killed"
    assert (await keeper.kill()).kind == "killed"  # in the backoff: nothing is there
    assert await world.kept(keeper) == []
    assert world.system.inspect(keeper).restarts == 1
    await keeper.stop()
    assert (await keeper.kill()).kind == "shutdown"


async def test_11_order_of_a_restart(world: World) -> None:
    log: list[str] = []
    keeper = await world.keeper("k", log=log, restart=PERMANENT)
    keeper.tell(world.fail())
    assert await world.kept(keeper) == []
    assert log == ["+k", "!k", "-k", "+k"]
    assert world.system.dead_letters.reasons() == ["failed"]


async def test_11_the_failed_message_dies_and_its_asker_gets_the_failure(world: World) -> None:
    keeper = await world.keeper(restart=PERMANENT)
    with pytest.raises(ActorFailed, match="broken"):
        await keeper.ask(world.fail())
    assert world.system.dead_letters.reasons() == ["failed"]


async def test_11_unmatched_messages_never_fail_the_actor(world: World) -> None:
    keeper = await world.keeper()
    keeper.tell(world.put(1))
    keeper.tell(world.unknown())
    assert await world.kept(keeper) == [1]
    assert world.system.dead_letters.reasons() == ["unhandled"]


async def test_11_a_full_queue_survives_a_restart(world: World) -> None:
    keeper = await world.keeper(restart=PERMANENT, mailbox=Bounded(4))
    world.system.suspend(keeper)
    keeper.tell(world.fail())
    for value in range(3):
        keeper.tell(world.put(value))
    world.system.resume(keeper)
    await world.system.settle()
    assert await world.kept(keeper) == [0, 1, 2]
    world.system.dead_letters.ignore()


async def test_11_during_backoff_the_mailbox_accepts_and_deadlines_run(world: World) -> None:
    began = world.system.now
    keeper: Any = await world.keeper(restart=PERMANENT, backoff=Backoff(10.0, 10.0))
    keeper.tell(world.fail())
    await asyncio.sleep(1)
    assert keeper.state == "restarting"
    keeper.tell(world.put(1))
    with pytest.raises(AskTimeout):
        await world.kept(keeper, 2.0)
    assert await world.kept(keeper, 20.0) == [1]
    assert world.system.now == pytest.approx(began + 10.0)
    assert sorted(world.system.dead_letters.reasons()) == ["expired", "failed"]


async def test_11_what_an_incarnation_had_going_dies_with_it(components: ComponentWorld) -> None:
    from worlds import do

    gate = await components.gate()
    keeper = await components.keeper("k", restart=PERMANENT)
    keeper.tell(
        do(
            ["every", 1.0, {"tag": "tick"}],
            ["tell", "test/k", {"tag": "to myself"}],
            ["ask-async", gate.address, {}, 100.0, [["tell", "test/k", {"tag": "answered"}]]],
            ["trap"],
        )
    )
    await asyncio.sleep(10)
    gate.open()
    await asyncio.sleep(1)
    assert await components.kept(keeper) == []
    assert {"failed", "stale"} <= set(components.system.dead_letters.reasons())
    components.system.assert_conserved()


async def test_11_a_deferred_reply_ends_with_the_incarnation(components: ComponentWorld) -> None:
    from worlds import do

    keeper = await components.keeper("k", restart=PERMANENT)
    asked = asyncio.ensure_future(keeper.ask(do(["reply-later"]), 100.0))
    await components.system.settle()
    keeper.tell(components.fail())
    with pytest.raises(RequestDropped):
        await asked
    assert components.system.now < 100.0
    components.system.dead_letters.ignore()


async def test_11_state_is_carried_only_where_declared(components: ComponentWorld) -> None:
    forgetful = await components.keeper("f", restart=PERMANENT)
    faithful = await components.keeper(
        "g", restart=PERMANENT, snapshots=True, settings={"snapshot_every": 1.0}
    )
    for keeper in (forgetful, faithful):
        keeper.tell(components.put("before"))
    await asyncio.sleep(1.5)
    for keeper in (forgetful, faithful):
        keeper.tell(components.put("lost"))
        keeper.tell(components.fail())
    await components.system.settle()
    assert await components.kept(forgetful) == []
    assert await components.kept(faithful) == ["before"]
    components.system.dead_letters.ignore()


async def test_12_one_message_at_a_time(world: World) -> None:
    keeper = await world.keeper()
    gate = await world.gate()
    asks = [asyncio.ensure_future(keeper.ask(world.wait(gate))) for _ in range(3)]
    await world.system.settle()
    books = world.system.inspect(keeper).books
    assert (books.in_flight, books.queued) == (1, 2)
    gate.open()
    assert await asyncio.gather(*asks) == ["waited"] * 3
