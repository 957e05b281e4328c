"""Semantics 1 to 8: messages."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from rt_actors import Echo, Fail, Get, Keeper, Put, Wait

from airssys.rt import (
    PERMANENT,
    Actor,
    ActorFailed,
    Ask,
    AskTimeout,
    Bounded,
    DeadLetter,
    Ref,
    Tell,
    WaitCycle,
    handles,
)

if TYPE_CHECKING:
    from airssys.testing import TestSystem


@dataclass(frozen=True, slots=True)
class Burst(Tell[Any]):
    target: Ref[Any]
    values: tuple[Any, ...]


async def test_02_a_reply_needs_no_room(system: TestSystem) -> None:
    other = await system.spawn(Keeper)

    class Asker(Actor):
        @handles
        async def go(self, message: Put) -> None:
            self.got = await other.ask(Echo(message.value))

        @handles
        def get(self, message: Get) -> list[Any]:
            return [self.got]

    asker = await system.spawn(Asker, mailbox=Bounded(1))
    asker.tell(Put(7))
    await asyncio.sleep(0)
    await system.settle()
    assert await asker.ask(Get()) == [7]


async def test_05_the_books_add_up_with_messages_in_every_place(system: TestSystem) -> None:
    class Busy(Keeper):
        @handles
        def divide(self, message: AskFail) -> None:
            raise ZeroDivisionError

        @handles
        async def later(self, message: Burst) -> None:
            self.stash()

    keeper = await system.spawn(Busy, mailbox=Bounded(4, full="drop-newest"), restart=PERMANENT)
    with pytest.raises(ActorFailed) as failure:
        await keeper.ask(AskFail())
    assert isinstance(failure.value.__cause__, ZeroDivisionError)
    keeper.tell(Burst(keeper, ()))
    keeper.tell(Fail(ValueError()), ttl=0.5)
    gate = asyncio.Event()
    ask = asyncio.ensure_future(keeper.ask(Wait(gate)))
    await system.settle()
    for value in range(7):
        keeper.tell(Put(value))
    (books,) = system.books()
    assert (books.accepted, books.handled, books.queued, books.stashed) == (11, 0, 4, 1)
    assert (books.in_flight, books.dead) == (1, 5)
    assert (books.asked, books.pending, books.failed) == (2, 1, 1)
    system.assert_conserved()
    gate.set()
    await ask
    await system.settle()
    system.assert_conserved()
    assert sorted(system.dead_letters.reasons()) == ["failed"] * 2 + ["overflow"] * 3


@dataclass(frozen=True, slots=True)
class AskFail(Ask[Any, None]): ...


@dataclass(frozen=True, slots=True)
class Boom(Ask[Any, None]): ...


async def test_05_late_replies_are_counted_apart(system: TestSystem) -> None:
    keeper = await system.spawn(Keeper)
    gate = asyncio.Event()
    with pytest.raises(AskTimeout):
        await keeper.ask(Wait(gate), 1.0)
    gate.set()
    assert await keeper.ask(Echo("next")) == "next"  # not the late "waited"
    assert system._dispatcher.late_replies == 1
    system.assert_conserved()


async def test_05_dead_letters_are_subscribable_and_never_die_twice(system: TestSystem) -> None:
    keeper = await system.spawn(Keeper)
    heir = await system.spawn(Heir, mailbox=Bounded(2))
    system.dead_letters.subscribe(heir)
    for _ in range(5):
        keeper.tell(Burst(keeper, ()))
    await asyncio.sleep(1)
    letters = await heir.ask(Get())
    assert all(isinstance(letter, DeadLetter) for letter in letters)
    assert len(letters) + system.dead_letters.lost == 5
    assert system.dead_letters.reasons() == ["unhandled"] * 5
    await heir.stop()
    keeper.tell(Burst(keeper, ()))
    await system.settle()
    assert system.dead_letters.reasons() == ["unhandled"] * 6


class Heir(Actor):
    def __init__(self) -> None:
        self.letters: list[Any] = []

    @handles
    def letter(self, message: DeadLetter) -> None:
        self.letters.append(message)

    @handles
    def get(self, message: Get) -> list[Any]:
        return self.letters


async def test_05_logging_of_a_flood_is_throttled(
    system: TestSystem, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = await system.spawn(Keeper)
    with caplog.at_level(logging.WARNING, "airssys.rt.dead_letters"):
        for _ in range(100):
            keeper.tell(Burst(keeper, ()))
        await asyncio.sleep(61)
        keeper.tell(Burst(keeper, ()))
        await system.settle()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 12
    assert lines[10] == "90 more dead letters"
    system.dead_letters.ignore()


async def test_07_a_handler_sees_its_deadline_and_expired_requests_are_not_begun(
    system: TestSystem,
) -> None:
    class Clock(Actor):
        @handles
        async def see(self, message: Echo) -> float | None:
            return self.deadline

    clock = await system.spawn(Clock)
    await asyncio.sleep(5)
    assert await clock.ask(Echo(), 2.5) == pytest.approx(7.5)


@dataclass(frozen=True, slots=True)
class Chain(Ask[Any, Any]):
    refs: tuple[Ref[Any], ...]
    by_task: bool = False


class Link(Actor):
    @handles
    async def chain(self, message: Chain) -> Any:
        if not message.refs:
            return "end"
        first, *rest = message.refs
        ask = first.ask(Chain(tuple(rest), message.by_task), 3.0)
        if message.by_task:

            async def wait() -> Any:
                return await ask

            return await asyncio.create_task(wait())
        return await ask


@dataclass(frozen=True, slots=True)
class StopYourself(Ask[Any, None]): ...


async def test_07_waiting_for_its_own_stop_is_a_cycle(system: TestSystem) -> None:
    class Suicidal(Actor):
        @handles
        async def stop_and_wait(self, message: StopYourself) -> None:
            await self.ref.stop()

    ref = await system.spawn(Suicidal)
    before = system.now
    with pytest.raises(ActorFailed) as failure:
        await ref.ask(StopYourself())
    assert isinstance(failure.value.__cause__, WaitCycle)
    assert system.now == before
    await system.settle()
    assert not ref.alive
    system.dead_letters.ignore()


async def test_07_for_child_tasks_only_the_deadline_helps(system: TestSystem) -> None:
    one, two = await system.spawn(Link), await system.spawn(Link)
    with pytest.raises(ActorFailed) as failure:
        await one.ask(Chain((two, one), by_task=True), 10.0)
    cause: BaseException | None = failure.value
    while isinstance(cause, ActorFailed):
        cause = cause.__cause__
    assert isinstance(cause, AskTimeout)
    system.dead_letters.ignore()


@dataclass(frozen=True, slots=True)
class Flood(Tell[Any]):
    peer: Ref[Any]
    depth: int


class Flooder(Actor):
    @handles
    async def flood(self, message: Flood) -> None:
        if message.depth:
            for _ in range(2):
                await message.peer.send(Flood(self.ref, message.depth - 1), 5.0)


async def test_07_two_wait_mailboxes_with_a_fan_out_do_not_hang(system: TestSystem) -> None:
    one = await system.spawn(Flooder, mailbox=Bounded(1, full="wait"))
    two = await system.spawn(Flooder, mailbox=Bounded(1, full="wait"))
    failures: list[Any] = []
    system.events.subscribe(failures.append, DeadLetter)
    one.tell(Flood(two, 10))
    await asyncio.sleep(0.5)
    assert any(isinstance(letter.error, WaitCycle) for letter in failures)
    system.dead_letters.ignore()


async def test_07_reentrancy_is_opt_in_and_breaks_a_cycle(system: TestSystem) -> None:
    class Open(Link):
        @handles(reentrant=True)
        async def chain(self, message: Chain) -> Any:
            return await Link.chain(self, message)

    one, two = await system.spawn(Open), await system.spawn(Open)
    assert await one.ask(Chain((two, one, two))) == "end"


async def test_08_a_message_is_handled_once_and_retry_is_opt_in(system: TestSystem) -> None:
    seen: list[Any] = []

    class Flaky(Actor):
        @handles(retry=2)
        def put(self, message: Put) -> None:
            seen.append(message.value)
            if len(seen) < 3:
                raise ValueError(message.value)

        @handles
        def fail(self, message: Fail) -> None:
            seen.append("once")
            raise message.error

        @handles
        def echo(self, message: Echo) -> Any:
            return message.value

    flaky = await system.spawn(Flaky, restart=PERMANENT)
    flaky.tell(Put("a"))
    flaky.tell(Put("b"))
    assert await flaky.ask(Echo(1)) == 1
    assert seen == ["a", "a", "a", "b"]
    flaky.tell(Fail(ValueError()))
    assert await flaky.ask(Echo(2)) == 2
    assert seen.count("once") == 1
    assert system.dead_letters.reasons() == ["failed"]
