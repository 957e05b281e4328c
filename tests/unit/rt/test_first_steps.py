"""The shape that the requirement shows, literally."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airssys.rt import ONE_FOR_ONE, Actor, Ask, Backoff, Bounded, Child, Supervisor, Tell, handles

if TYPE_CHECKING:
    from airssys.rt import Ref
    from airssys.testing import TestSystem


@dataclass(frozen=True, slots=True)
class Deposit(Tell["Account"]):
    cents: int


@dataclass(frozen=True, slots=True)
class Balance(Ask["Account", int]): ...


class Account(Actor):
    def __init__(self, owner: str) -> None:
        self.owner, self.cents = owner, 0

    @handles
    def deposit(self, message: Deposit) -> None:
        if message.cents <= 0:
            raise ValueError(message.cents)  # ends this incarnation
        self.cents += message.cents

    @handles
    async def balance(self, message: Balance) -> int:
        return self.cents


BANK = Supervisor(
    "bank",
    ONE_FOR_ONE,
    burst=3,
    period=5.0,
    children=[
        Child("ann", Account, "Ann", mailbox=Bounded(100, full="fail"), backoff=Backoff(0.1, 30.0))
    ],
)


async def test_restart_keeps_the_mailbox(system: TestSystem) -> None:
    ann: Ref[Account] = (await system.start(BANK)).child("ann", Account)
    for cents in (500, -1, 7):
        ann.tell(Deposit(cents))
    assert await ann.ask(Balance(), timeout=1.0) == 7  # new state, kept queue
    assert system.dead_letters.reasons() == ["failed"]
