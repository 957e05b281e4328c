"""Semantics 1 to 8 in both worlds: messages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from airssys.rt import (
    PERMANENT,
    Actor,
    ActorFailed,
    AskTimeout,
    Bounded,
    DeadLetter,
    MailboxFull,
    Priority,
    Ref,
    RequestDropped,
    SendTimeout,
    Tell,
    handles,
)

if TYPE_CHECKING:
    from worlds import ComponentWorld, World


@dataclass(frozen=True, slots=True)
class Burst(Tell[Any]):
    target: Ref[Any]
    messages: tuple[Any, ...]


class Sender(Actor):
    @handles
    async def burst(self, message: Burst) -> None:
        for number, each in enumerate(message.messages):
            message.target.tell(each)
            if number % 3 == 0:
                await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(3))
async def test_01_order_per_pair(world: World, seed: int) -> None:
    keeper = await world.keeper()
    senders = [await world.system.spawn(Sender) for _ in range(3)]
    for number, sender in enumerate(senders):
        values = range(number * 100, number * 100 + 20)
        sender.tell(Burst(keeper, tuple(world.put(value) for value in values)))
    await world.system.settle()
    values = await world.kept(keeper)
    assert len(values) == 60
    for number in range(3):
        mine = [value for value in values if value // 100 == number]
        assert mine == list(range(number * 100, number * 100 + 20))


async def test_02_a_full_fail_mailbox_refuses(world: World) -> None:
    keeper = await world.keeper(mailbox=Bounded(3))
    world.system.suspend(keeper)
    for value in range(3):
        keeper.tell(world.put(value))
    with pytest.raises(MailboxFull):
        keeper.tell(world.put(3))
    with pytest.raises(MailboxFull):
        await keeper.ask(world.echo())
    keeper.tell(world.put("high"), Priority.HIGH)  # each lane has its own bound
    lanes = world.system.inspect(keeper).lanes
    assert lanes == {"low": 0, "normal": 3, "high": 1, "critical": 0}
    world.system.resume(keeper)
    await world.system.settle()
    assert await world.kept(keeper) == ["high", 0, 1, 2]


async def test_02_drops_stay_in_their_lane(world: World) -> None:
    oldest = await world.keeper(mailbox=Bounded(2, full="drop-oldest"))
    newest = await world.keeper(mailbox=Bounded(2, full="drop-newest"))
    for keeper in (oldest, newest):
        world.system.suspend(keeper)
        keeper.tell(world.put("low"), Priority.LOW)
        for value in range(4):
            keeper.tell(world.put(value))
        world.system.resume(keeper)
    await world.system.settle()
    assert await world.kept(oldest) == [2, 3, "low"]
    assert await world.kept(newest) == [0, 1, "low"]
    assert world.system.dead_letters.reasons() == ["overflow"] * 4


async def test_02_send_waits_in_turn(world: World) -> None:
    keeper = await world.keeper(mailbox=Bounded(1, full="wait"))
    gate = await world.gate()
    waiting = asyncio.ensure_future(keeper.ask(world.wait(gate)))
    await world.system.settle()  # in flight now, the mailbox is empty
    keeper.tell(world.put(0))
    sends = [asyncio.create_task(keeper.send(world.put(value))) for value in (1, 2, 3)]
    await world.system.settle()
    assert not any(send.done() for send in sends)
    with pytest.raises(MailboxFull):
        keeper.tell(world.put("overtaking"))
    last = asyncio.ensure_future(world.kept(keeper))  # waits for room too, at the end of the line
    await world.system.settle()
    gate.open()
    assert await waiting == "waited"
    assert await last == [0, 1, 2, 3]
    await asyncio.gather(*sends)


async def test_02_send_times_out_and_a_cancelled_one_sent_nothing(world: World) -> None:
    keeper = await world.keeper(mailbox=Bounded(1, full="wait"))
    world.system.suspend(keeper)
    keeper.tell(world.put(0))
    before = world.system.now
    with pytest.raises(SendTimeout):
        await keeper.send(world.put(1), 2.0)
    assert world.system.now == before + 2.0
    send = asyncio.create_task(keeper.send(world.put(2)))
    await world.system.settle()
    send.cancel()
    await asyncio.gather(send, return_exceptions=True)
    world.system.resume(keeper)
    assert await world.kept(keeper) == [0]


async def test_03_stop_overtakes_and_kill_strikes_within_a_handler(world: World) -> None:
    keeper = await world.keeper()
    world.system.suspend(keeper)
    for value in range(5):
        keeper.tell(world.put(value))
    reason = await keeper.stop()
    assert reason.kind == "shutdown"
    await world.system.settle()
    assert world.system.dead_letters.reasons() == ["stopped"] * 5

    keeper = await world.keeper()
    gate = await world.gate()
    ask = asyncio.ensure_future(keeper.ask(world.wait(gate)))
    await world.system.settle()
    for _ in range(10):
        keeper.kill()  # repeats merge
    assert (await keeper.kill()).kind == "killed"
    with pytest.raises(RequestDropped):
        await ask
    await world.system.settle()
    assert "killed" in world.system.dead_letters.reasons()[5:]
    gate.open()


async def test_03_signals_need_no_room(world: World) -> None:
    keeper = await world.keeper(mailbox=Bounded(1))
    world.system.suspend(keeper)
    keeper.tell(world.put(0))
    with pytest.raises(MailboxFull):
        keeper.tell(world.put(1))
    assert world.system.inspect(keeper).state == "suspended"
    await keeper.stop()
    await world.system.settle()
    assert world.system.dead_letters.reasons() == ["stopped"]


async def test_04_strict_priorities_with_aging(world: World) -> None:
    keeper = await world.keeper()
    world.system.suspend(keeper)
    for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
        for value in range(20):
            keeper.tell(world.put(priority.name[0] + str(value)), priority)
    for value in range(40):
        keeper.tell(world.put("C" + str(value)), Priority.CRITICAL)
    world.system.resume(keeper)
    values = await world.kept(keeper, 1.0, Priority.LOW)
    lanes = "".join(value[0] for value in values)
    assert lanes[:15] == "C" * 15
    assert lanes[15] == "L"  # waited longest of the lower lanes
    assert lanes[16:31] == "C" * 15
    assert lanes[31] == "L"
    assert len(values) == 100
    for lane in "LNHC":
        mine = [value for value in values if value[0] == lane]
        assert mine == sorted(mine, key=lambda value: int(value[1:]))


async def test_05_the_books_add_up(world: World) -> None:
    keeper = await world.keeper("books", mailbox=Bounded(4, full="drop-newest"), restart=PERMANENT)
    with pytest.raises(ActorFailed):
        await keeper.ask(world.fail())
    gate = await world.gate()
    ask = asyncio.ensure_future(keeper.ask(world.wait(gate)))
    await world.system.settle()
    for value in range(7):
        keeper.tell(world.put(value))
    books = world.system.inspect(keeper).books
    assert (books.accepted, books.handled, books.queued) == (9, 0, 4)
    assert (books.in_flight, books.dead) == (1, 4)
    assert (books.asked, books.pending, books.failed) == (2, 1, 1)
    world.system.assert_conserved()
    gate.open()
    await ask
    await world.system.settle()
    world.system.assert_conserved()
    assert world.system.inspect(keeper).books.handled == 5
    assert sorted(world.system.dead_letters.reasons()) == ["failed"] + ["overflow"] * 3


async def test_05_ways_to_die(world: World) -> None:
    keeper = await world.keeper()
    with pytest.raises(RequestDropped) as dropped:
        await keeper.ask(world.unknown())
    assert dropped.value.context["reason"] == "unhandled"
    world.system.suspend(keeper)
    keeper.tell(world.put(1), ttl=1.0)
    ask = asyncio.ensure_future(keeper.ask(world.echo(), 10.0))
    with pytest.raises(AskTimeout):
        await keeper.ask(world.echo(), 2.0)
    ask.cancel()
    await world.system.settle()
    world.system.resume(keeper)
    await world.system.settle()
    assert world.system.dead_letters.reasons() == ["unhandled", "expired", "cancelled", "expired"]
    world.system.assert_conserved()
    await keeper.stop()
    keeper.tell(world.put(2))
    with pytest.raises(RequestDropped):
        await keeper.ask(world.echo())
    assert world.system.dead_letters.reasons()[4:] == ["no_actor", "no_actor"]


async def test_05_a_late_reply_answers_no_later_ask(world: World) -> None:
    keeper = await world.keeper()
    gate = await world.gate()
    with pytest.raises(AskTimeout):
        await keeper.ask(world.wait(gate), 1.0)
    gate.open()
    assert await keeper.ask(world.echo("next")) == "next"  # not the late "waited"
    world.system.assert_conserved()


async def test_05_dead_letters_are_subscribable(world: World) -> None:
    keeper = await world.keeper()
    heir = await world.system.probe()
    world.system.dead_letters.subscribe(heir.ref)
    keeper.tell(world.unknown())
    letter = await heir.expect_message(DeadLetter)
    assert (letter.reason, letter.target) == ("unhandled", keeper)
    assert world.system.dead_letters.reasons() == ["unhandled"]


async def test_06_an_expired_message_is_never_handled(world: World) -> None:
    keeper = await world.keeper()
    gate = await world.gate()
    ask = asyncio.ensure_future(keeper.ask(world.wait(gate)))
    await world.system.settle()
    keeper.tell(world.put("short"), ttl=1.0)
    keeper.tell(world.put("long"), ttl=3.0)
    await asyncio.sleep(2.0)
    gate.open()
    await ask
    assert await world.kept(keeper) == ["long"]
    assert world.system.dead_letters.reasons() == ["expired"]


@pytest.mark.parametrize("length", [1, 2, 3, 10])
async def test_07_the_wait_that_closes_a_cycle_raises(world: World, length: int) -> None:
    links = [await world.keeper() for _ in range(length)]
    before = world.system.now
    failure = await _outcome_of_chain(world, links[0], [*links[1:], links[0]])
    assert "wait-cycle" in failure or "WaitCycle" in failure
    assert world.system.now == before
    world.system.dead_letters.ignore()


async def test_07_a_chain_that_is_no_cycle_answers(world: World) -> None:
    links = [await world.keeper() for _ in range(4)]
    assert "end" in await _outcome_of_chain(world, links[0], links[1:])


async def _outcome_of_chain(world: World, first: Ref[Any], rest: list[Ref[Any]]) -> str:
    """What came of asking `first` to ask the rest, one another: the reply or the failures."""
    try:
        return repr(await first.ask(world.chain(rest), 10.0))
    except ActorFailed as error:
        causes: list[str] = []
        cause: BaseException | None = error
        while cause is not None:
            causes.append(type(cause).__name__)
            cause = cause.__cause__
        return " ".join(causes)


async def test_07_a_cycle_across_both_kinds_raises(components: ComponentWorld) -> None:
    """A Python actor waits for a keeper that waits for the Python actor."""
    from worlds import do

    keeper = await components.keeper()

    class Asker(Actor):
        @handles
        async def go(self, message: str) -> Any:
            return await keeper.ask(do(["ask", "test/asker", "go", 5.0]), 5.0)

    asker: Any = await components.system.spawn(Asker)
    components.exchange.expose(asker, "test/asker")
    before = components.system.now
    (outcome,) = await asker.ask("go", 10.0)
    assert "waiting would never end" in repr(outcome)
    assert components.system.now == before
    components.system.dead_letters.ignore()


async def test_07_a_dropped_request_fails_its_asker_at_once(world: World) -> None:
    keeper = await world.keeper(mailbox=Bounded(1, full="drop-oldest"))
    world.system.suspend(keeper)
    first = asyncio.ensure_future(keeper.ask(world.echo(1)))
    await asyncio.sleep(0)
    keeper.tell(world.put(2))
    before = world.system.now
    with pytest.raises(RequestDropped) as dropped:
        await first
    assert (dropped.value.context["reason"], world.system.now) == ("overflow", before)
    assert world.system.dead_letters.reasons() == ["overflow"]
    world.system.resume(keeper)


async def test_08_a_message_is_handled_once(world: World) -> None:
    keeper = await world.keeper(restart=PERMANENT)
    keeper.tell(world.fail())
    assert await keeper.ask(world.echo(2)) == 2
    books = world.system.inspect(keeper).books
    assert books.dead_by_reason == {"failed": 1}
    assert world.system.inspect(keeper).restarts == 1
    assert world.system.dead_letters.reasons() == ["failed"]
