"""What both type checkers must accept in strict mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_type

from airssys.rt import (
    Actor,
    Ask,
    Child,
    PoolRef,
    Ref,
    Reply,
    Supervisor,
    SupervisorRef,
    System,
    Tell,
    handles,
)


@dataclass(frozen=True, slots=True)
class Deposit(Tell["Account"]):
    cents: int


@dataclass(frozen=True, slots=True)
class Balance(Ask["Account", int]): ...


class Account(Actor):
    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.cents = 0

    @handles
    def deposit(self, message: Deposit) -> None:
        self.cents += message.cents
        mine: Ref[Account] = self.ref
        mine.tell(message)

    @handles(reentrant=True)
    async def balance(self, message: Balance) -> int:
        reply: Reply[int] = self.defer()
        reply.send(3)
        return self.cents


class Savings(Account):
    """A derived actor takes the messages of its base."""


async def use(system: System) -> None:
    ann = await system.spawn(Account, "Ann", name="ann")
    assert_type(ann, Ref[Account])
    ann.tell(Deposit(5))
    assert_type(await ann.ask(Balance(), timeout=1.0), int)
    await ann.send(Deposit(5), 2.0)
    savings: Ref[Savings] = await system.spawn(Savings, "Ann")
    savings.tell(Deposit(1))
    account: Ref[Account] = savings
    assert_type(await account.ask(Balance()), int)
    top = await system.start(Supervisor("bank", children=[Child("ann", Account, "Ann")]))
    assert_type(top, SupervisorRef)
    assert_type(top.child("ann", Account), Ref[Account])
    pool = await system.pool("pool", Account, "x", size=2)
    assert_type(pool, PoolRef[Account])
    assert_type(await pool.ask(Balance()), int)
    assert_type(ann.threadsafe.ask(Balance()).result(), int)
