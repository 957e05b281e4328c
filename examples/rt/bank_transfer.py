"""A transfer between two supervised accounts that survives the failure of either.

    python examples/rt/bank_transfer.py

Each transfer is an actor: withdraw, deposit, and give the money back when that is refused. An
account carries its balance and what it has done over restarts, so that a step can be repeated
without being done twice: a failure after the work is not distinguishable from one before it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airssys.rt import (
    Actor,
    ActorFailed,
    Ask,
    AskTimeout,
    Backoff,
    Child,
    Refuse,
    Supervisor,
    System,
    actor,
    handles,
)

if TYPE_CHECKING:
    from airssys.rt import Ref


class RefusedError(Exception):
    """The account says no: nothing was done and nothing has failed."""


@dataclass(frozen=True, slots=True)
class Change(Ask["Account", int]):
    """Add cents, which may be negative; the same `number` counts once."""

    number: str
    cents: int


@dataclass(frozen=True, slots=True)
class Balance(Ask["Account", int]):
    """How many cents there are."""


@dataclass(frozen=True, slots=True)
class Transfer(Ask[Any, bool]):
    """Move cents; the reply says whether they have moved."""

    number: str
    cents: int
    source: Ref[Account]
    target: Ref[Account]


class Account(Actor):
    """An account on unreliable hardware: steps whose number is in `faults` break after the work."""

    def __init__(self, cents: int, *faults: str, limit: int = 10**6) -> None:
        self.cents, self.faults, self.limit = cents, set(faults), limit
        self.done: set[str] = set()

    def carry(self) -> tuple[int, set[str], set[str]]:
        """Keep the money over a restart."""
        return self.cents, self.done, self.faults

    def restore(self, carried: tuple[int, set[str], set[str]]) -> None:
        """Take the money of the last incarnation."""
        self.cents, self.done, self.faults = carried

    @handles
    def change(self, message: Change) -> int:
        """Do it once."""
        if message.number not in self.done:
            if self.cents + message.cents < 0:
                raise Refuse(RefusedError(f"{self.cents} cents are not {-message.cents}"))
            if message.cents > self.limit:
                raise Refuse(RefusedError(f"{message.cents} are more than it may take"))
            self.cents += message.cents
            self.done.add(message.number)
        if message.number in self.faults:
            self.faults.discard(message.number)
            raise RuntimeError("a disk broke before the reply was sent")
        return self.cents

    @handles
    def balance(self, _message: Balance) -> int:
        """Say it."""
        return self.cents


async def insist(account: Ref[Account], change: Change) -> None:
    """Repeat a step until it is known to be done; it cannot be done twice."""
    for _ in range(5):
        try:
            await account.ask(change, timeout=2.0)
        except (ActorFailed, AskTimeout):
            continue
        return
    raise RuntimeError(f"{account.path} does not come back")


@actor
async def transfer(_self: Actor, message: Transfer) -> bool:
    """Withdraw, then deposit. What a refused deposit leaves over goes back.

    An account that does not come back fails the transfer with its step unknown: to give the money
    back then could double it.
    """
    try:
        await insist(message.source, Change(f"{message.number}-out", -message.cents))
    except RefusedError:
        return False
    try:
        await insist(message.target, Change(f"{message.number}-in", message.cents))
    except RefusedError:
        await insist(message.source, Change(f"{message.number}-back", message.cents))
        return False
    return True


async def main() -> None:
    """Move money through failures and count it."""
    soon = Backoff(0.01, 0.1)
    bank = Supervisor(
        "bank",
        children=[
            Child("ann", Account, 1000, "t1-out", backoff=soon),
            Child("bob", partial(Account, limit=350), 500, "t2-in", backoff=soon),
        ],
    )
    async with System("bank") as system:
        top = await system.start(bank)
        ann, bob = top.child("ann", Account), top.child("bob", Account)
        for number, cents in (
            ("t1", 300),
            ("t2", 200),  # both above break once after the work
            ("t3", 9999),  # ann has not that much
            ("t4", 400),  # bob may not take it
        ):
            mover = await system.spawn(transfer)
            moved = await mover.ask(Transfer(number, cents, ann, bob), timeout=10)
            await mover.stop()
            total = [await ann.ask(Balance()), await bob.ask(Balance())]
            print(f"{number}: {cents:5} cents, moved: {moved!s:5}  ann and bob: {total}")
            assert sum(total) == 1500
        print("restarts:", {ref.path: system.inspect(ref).restarts for ref in (ann, bob)})
        assert total == [500, 1000]


if __name__ == "__main__":
    asyncio.run(main())
