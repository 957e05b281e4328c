"""Chat rooms by topics: publish to whoever listens, and never wait for a slow reader.

    python examples/rt/chat_rooms.py

A topic is `chat.ROOM`; a moderator listens to `chat.*`. A reader that does not keep up loses its
oldest lines only, because its mailbox says so; one that leaves is out of every room at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airssys.rt import Actor, Ask, Bounded, Priority, System, Tell, handles

if TYPE_CHECKING:
    from airssys.rt import Ref


@dataclass(frozen=True, slots=True)
class Said(Tell[Any]):
    """Someone said something in a room."""

    room: str
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class Say(Tell["Person"]):
    """Have a person say something."""

    room: str
    text: str


@dataclass(frozen=True, slots=True)
class Heard(Ask[Any, tuple[str, ...]]):
    """What a person has heard so far."""


class Person(Actor):
    """Listens to rooms by pattern and may talk in them."""

    def __init__(self, name: str, *rooms: str) -> None:
        self.name, self.rooms = name, rooms
        self.heard: list[str] = []

    async def started(self) -> None:
        """Enter the rooms; the runtime takes the actor out of them when it ends."""
        for room in self.rooms:
            self.system.topics.subscribe(f"chat.{room}", self.ref)

    @handles
    def say(self, message: Say) -> None:
        """Publish to whoever is there."""
        said = Said(message.room, self.name, message.text)
        published = self.system.topics.publish(f"chat.{message.room}", said)
        self.heard.append(f"(reached {published.accepted})")

    @handles
    def hear(self, message: Said) -> None:
        """Remember it."""
        self.heard.append(f"#{message.room} {message.who}: {message.text}")

    @handles
    def recall(self, _message: Heard) -> tuple[str, ...]:
        """Say what was heard; a copy, since what is sent must not change."""
        return tuple(self.heard)


async def main() -> None:
    """Let four people talk in two rooms."""
    async with System("chat") as system:

        async def enter(name: str, *rooms: str, room_for: int = 1000) -> Ref[Person]:
            mailbox = Bounded(room_for, full="drop-oldest")
            return await system.spawn(Person, name, *rooms, name=name, mailbox=mailbox)

        ann = await enter("ann", "python")
        bob = await enter("bob", "python", "rust")
        moderator = await enter("moderator", "*")
        slow = await enter("slow", "rust", room_for=3)
        ann.tell(Say("python", "hello"))
        bob.tell(Say("rust", "ferris!"))
        for person, name in ((ann, "ann"), (bob, "bob"), (moderator, "moderator")):
            print(f"{name}:", *await person.ask(Heard()), sep="\n    ")
        log = await moderator.ask(Heard())
        await slow.ask(Heard())

        system.suspend(slow)  # it does not read any more, and keeps nobody waiting
        for number in range(10):
            assert system.topics.publish("chat.rust", Said("rust", "bot", str(number))).refused == 0
        system.resume(slow)
        heard = await slow.ask(Heard(), priority=Priority.LOW)  # after the lines, in its own lane
        kept = [line for line in heard if "bot" in line]
        print("the slow reader lost", system.dead_letters.by_reason["overflow"], "old lines", kept)

        await bob.stop()
        after = system.topics.publish("chat.rust", Said("rust", "moderator", "bye, bob"))
        print("heard after bob has left by", after.accepted)
        assert log == ("#python ann: hello", "#rust bob: ferris!")
        assert kept == ["#rust bot: 7", "#rust bot: 8", "#rust bot: 9"]
        assert after.accepted == 2


if __name__ == "__main__":
    asyncio.run(main())
