"""An actor system for tests."""

# pyright: reportPrivateUsage=false
# What is tested is looked into.

from __future__ import annotations

import asyncio
from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any

from airssys.rt import System
from airssys.rt._cell import ENDED
from airssys.rt.dead_letters import DeadLetters
from airssys.testing.clock import VirtualLoop
from airssys.testing.conservation import assert_conserved
from airssys.testing.faults import Faults
from airssys.testing.probe import Probe, ProbeActor

if TYPE_CHECKING:
    from airssys.rt.messages import DeadLetter, DeadReason

__all__ = ["TestSystem"]


class SeededQueue(deque[Any]):
    """A ready queue that gives out in an order drawn from a seed, system signals first.

    Order within a mailbox is not touched, so every order it gives is one that the contract allows.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = Random(seed)  # noqa: S311 - not for secrets
        self._first = 0

    def appendleft(self, item: Any) -> None:
        self._first += 1
        super().appendleft(item)

    def popleft(self) -> Any:
        if self._first:
            self._first -= 1
            return super().popleft()
        length = len(self)
        if length > 1:
            index = self._random.randrange(length)
            if index:
                self.rotate(-index)
                item = super().popleft()
                self.rotate(index)
                return item
        return super().popleft()


class WatchedDeadLetters(DeadLetters):
    """Dead letters that a test has to look at, or else it fails."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seen = 0

    def reasons(self) -> list[DeadReason]:
        """The reasons of all so far, oldest first; the test has seen them now."""
        self.seen = self.count
        return super().reasons()

    def letters(self) -> list[DeadLetter]:
        """All so far, oldest first; the test has seen them now."""
        self.seen = self.count
        return list(self.kept)

    def ignore(self) -> None:
        """Expect any; the test does not care."""
        self.seen = -1

    @property
    def unexpected(self) -> list[DeadLetter]:
        """Those that the test has not looked at."""
        if self.seen < 0 or self.seen >= self.count:
            return []
        return list(self.kept)[-(self.count - self.seen) :]


class TestSystem(System):
    """A `System` on virtual time, with a seed, probes, faults, and books that are checked.

    Attributes:
        faults: Rules that make deliveries fail, late or lost.
        dead_letters: Looking at them (`reasons()`, `letters()`) accepts those so far.
    """

    __test__ = False

    dead_letters: WatchedDeadLetters

    def __init__(self, name: str = "test", *, seed: int = 0, shuffle: bool = True) -> None:
        super().__init__(name, seed=seed)
        self.dead_letters = WatchedDeadLetters(self.events, self._dispatcher.clock, keep=100_000)
        self._dispatcher.dead_letters = self.dead_letters
        self._dispatcher.slice = float("inf")
        if shuffle:
            self._dispatcher.ready = SeededQueue(seed)
        self.faults = Faults(self, seed)
        if isinstance(self.loop, VirtualLoop):
            self.loop.explain_deadlocks(self._who_waits)

    def _who_waits(self) -> str:
        waiting = [
            f"\n  {cell.path} awaits {cell.run._fut_waiter!r}"
            for cell in self.cells()
            if cell.run is not None
        ]
        return "".join(waiting)

    @property
    def now(self) -> float:
        """Virtual seconds."""
        return self.loop.time()

    async def advance(self, seconds: float) -> None:
        """Let virtual time pass; everything due in it happens."""
        await asyncio.sleep(seconds)

    async def settle(self) -> None:
        """Let everything that is ready run, without letting time pass."""
        if not isinstance(self.loop, VirtualLoop):
            raise TypeError("only a virtual loop knows when it is idle; wait for something instead")
        await self.loop.until_idle()

    async def probe(self, name: str | None = None) -> Probe:
        """An actor that keeps what it gets for the test to look at."""
        made: list[ProbeActor] = []

        def make() -> ProbeActor:
            made.append(ProbeActor(deque(), asyncio.Event()))
            return made[-1]

        ref = await self.spawn(make, name=name)
        return Probe(self, ref, made[-1])

    def assert_conserved(self) -> None:
        """Check the books of every mailbox."""
        assert_conserved(self)

    def leaking(self) -> list[str]:
        """What should have ended with the system and has not."""
        found = [f"coroutine of {path} was abandoned" for path in self.leaks]
        found += [f"actor {cell.path} is alive" for cell in self.cells() if not cell.block & ENDED]
        return found
