"""A pipeline of stages: parse, enrich, aggregate; a slow stage slows the first one down.

    python examples/rt/event_pipeline.py

Each stage passes on with `send`, which waits for room in the next stage. A line that cannot be
parsed fails nothing but itself: it goes to the dead letters, which an actor collects.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airssys.rt import (
    REST_FOR_ONE,
    Actor,
    Ask,
    Bounded,
    Child,
    DeadLetter,
    Supervisor,
    System,
    Tell,
    handles,
)

if TYPE_CHECKING:
    from airssys.rt import Ref

LINES = [
    f"{100 + number} {'GET' if number % 3 else 'PUT'} /page/{number % 5}" for number in range(300)
]
LINES[50] = "garbage"


@dataclass(frozen=True, slots=True)
class Raw(Tell["Parse"]):
    """A line of a log."""

    line: str


@dataclass(frozen=True, slots=True)
class Request(Tell["Enrich"]):
    """A parsed line."""

    milliseconds: int
    method: str
    path: str


@dataclass(frozen=True, slots=True)
class Labelled(Tell["Aggregate"]):
    """A request and what it counts as."""

    label: str


@dataclass(frozen=True, slots=True)
class Totals(Ask["Aggregate", Counter[str]]):
    """The counts so far."""


class Aggregate(Actor):
    """The last stage, and the slow one."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    @handles
    async def count(self, message: Labelled) -> None:
        """Count; the sleep stands for a database."""
        await asyncio.sleep(0.001)
        self.counts[message.label] += 1

    @handles
    def totals(self, _message: Totals) -> Counter[str]:
        """Answer with a copy, after everything that was sent before."""
        return self.counts.copy()


class Enrich(Actor):
    """Labels requests; finds the next stage by name when it starts."""

    async def started(self) -> None:
        """Look the next stage up anew in each incarnation."""
        self.next: Ref[Aggregate] = await self.system.registry.wait_for("aggregate", 1.0)

    @handles
    async def label(self, message: Request) -> None:
        """Pass on, as fast as the next stage takes it."""
        speed = "slow" if message.milliseconds > 300 else "fast"
        await self.next.send(Labelled(f"{speed} {message.method}"))


class Parse(Actor):
    """The first stage."""

    async def started(self) -> None:
        """Look the next stage up anew in each incarnation."""
        self.next: Ref[Enrich] = await self.system.registry.wait_for("enrich", 1.0)

    @handles
    async def parse(self, message: Raw) -> None:
        """Raise on what is not a line of a log; the supervisor starts this stage anew."""
        milliseconds, method, path = message.line.split()
        await self.next.send(Request(int(milliseconds), method, path))


class Undertaker(Actor):
    """Collects what was lost."""

    def __init__(self, lost: list[DeadLetter]) -> None:
        self.lost = lost

    @handles
    def bury(self, message: DeadLetter) -> None:
        """Keep it."""
        self.lost.append(message)


async def main() -> None:
    """Push the lines through; downstream starts first, so it is the first child."""
    room = Bounded(16, full="wait")
    stages = {"aggregate": Aggregate, "enrich": Enrich, "parse": Parse}
    async with System("pipeline") as system:
        lost: list[DeadLetter] = []
        system.dead_letters.subscribe(await system.spawn(Undertaker, lost))
        top = await system.start(Supervisor("stages", REST_FOR_ONE))
        for name, stage in stages.items():
            system.registry.register(name, await top.start_child(Child(name, stage, mailbox=room)))
        parse = top.child("parse", Parse)
        for line in LINES:
            await parse.send(Raw(line))
        await parse.stop(drain=True)
        await top.child("enrich", Enrich).stop(drain=True)
        totals = await top.child("aggregate", Aggregate).ask(Totals())
    for label, count in sorted(totals.items()):
        print(f"{label:10} {count}")
    print("lost:", [letter.message for letter in lost])
    assert totals.total() == 299
    assert [letter.message for letter in lost] == [Raw("garbage")]


if __name__ == "__main__":
    asyncio.run(main())
