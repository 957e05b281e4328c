"""Ten million messages through supervised actors that crash at random; nothing may be lost.

`python -m benchmarks.rt.soak [--messages N] [--seed S]`. The test suite runs one percent of it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

from airssys.rt import (
    Actor,
    Ask,
    Bounded,
    Child,
    MailboxFull,
    Priority,
    RuntimeFailure,
    Supervisor,
    System,
    Tell,
    handles,
)

ACTORS = 200
BATCH = 20_000


@dataclass(frozen=True, slots=True)
class Step(Tell["Node"]):
    hops: int


@dataclass(frozen=True, slots=True)
class Question(Ask["Node", int]):
    hops: int


class CrashError(Exception):
    """Thrown at random."""


class Node(Actor):
    """Passes messages on to random others, by tell, send and ask; crashes now and then."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def _maybe_crash(self) -> None:
        if self.tally.random.random() < 0.001:
            self.tally.crashes += 1
            raise CrashError

    @handles
    def step(self, message: Step) -> None:
        self.tally.handled += 1
        self._maybe_crash()
        if message.hops:
            try:
                if self.tally.random.random() < 0.1:
                    priority = Priority(self.tally.random.randrange(4))
                    self.tally.pick().tell(Step(message.hops - 1), priority, 60.0)
                else:
                    self.tally.pick().tell(Step(message.hops - 1))
            except MailboxFull:
                self.tally.refused += 1

    @handles
    async def question(self, message: Question) -> int:
        self.tally.handled += 1
        self._maybe_crash()
        if message.hops:
            try:
                return await self.tally.pick().ask(Question(message.hops - 1), 5.0) + 1
            except RuntimeFailure:
                self.tally.unanswered += 1
        return 0


class Tally:
    """What the run did, counted apart from the runtime's own books."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.refs: list[Any] = []
        self.handled = self.crashes = self.refused = self.unanswered = 0

    def pick(self) -> Any:
        return self.refs[int(self.random.random() * len(self.refs))]


@dataclass(frozen=True, slots=True)
class Outcome:
    accepted: int
    handled: int
    dead: Counter[str]
    crashes: int
    refused: int
    unanswered: int


async def soak(system: System, messages: int, seed: int) -> Outcome:
    """Send until `messages` were accepted, come to rest, and check the books.

    Raises:
        AssertionError: Something was lost or counted twice.
    """
    tally = Tally(seed)
    policies = ("fail", "wait", "drop-oldest", "drop-newest")
    children = [
        Child(
            f"n{number}",
            Node,
            tally,
            mailbox=Bounded(8, full=policies[number % 4]),  # type: ignore[arg-type]
            max_consecutive=10**9,
        )
        for number in range(ACTORS)
    ]
    top = await system.start(Supervisor("soak", burst=10**9, children=children))
    tally.refs = list(top.children.values())
    while sum(books.accepted for books in system.books()) < messages:
        asks: list[Any] = []
        for _ in range(BATCH // 20):
            try:
                tally.pick().tell(Step(15))
                if tally.random.random() < 0.2:
                    asks.append(tally.pick().ask(Question(3), 5.0))
            except MailboxFull:
                tally.refused += 1
        await asyncio.gather(*asks, return_exceptions=True)
    while any(  # noqa: ASYNC110 - from outside there is no event for being at rest
        books.queued or books.in_flight or books.pending for books in system.books()
    ):
        await asyncio.sleep(0.01)
    dead: Counter[str] = Counter()
    accepted = handled = 0
    for books in system.books():
        accepted += books.accepted
        handled += books.handled
        dead.update(books.dead_by_reason)
        assert books.accepted == books.handled + books.stashed + books.dead, books
        assert books.asked == (books.answered + books.failed + books.expired + books.cancelled), (
            books
        )
    # The handlers' own count: every begun message either ended well or failed.
    assert tally.handled == handled + dead["failed"], (tally.handled, handled, dead)
    assert tally.crashes == dead["failed"], (tally.crashes, dead)
    return Outcome(accepted, handled, dead, tally.crashes, tally.refused, tally.unanswered)


async def run(messages: int, seed: int) -> Outcome:
    async with System("soak", seed=seed) as system:
        return await soak(system, messages, seed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.getLogger("airssys.rt").setLevel(logging.CRITICAL)
    began = time.perf_counter()
    outcome = asyncio.run(run(options.messages, options.seed))
    seconds = time.perf_counter() - began
    sys.stdout.write(
        f"{outcome.accepted:,} messages in {seconds:.1f} s "
        f"({outcome.accepted / seconds / 1e6:.2f} M/s): {outcome.handled:,} handled, "
        f"{outcome.crashes:,} crashes, dead {dict(outcome.dead)}, {outcome.refused:,} refused; "
        "the books add up\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
