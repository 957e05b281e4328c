"""Each line marked `# wrong` must be an error to both type checkers."""

from __future__ import annotations

from dataclasses import dataclass

from airssys.rt import Actor, Ask, Ref, System, Tell, handles


@dataclass(frozen=True, slots=True)
class Deposit(Tell["Account"]):
    cents: int


@dataclass(frozen=True, slots=True)
class Balance(Ask["Account", int]): ...


@dataclass(frozen=True, slots=True)
class Play(Tell["Radio"]): ...


class Account(Actor):
    @handles
    def deposit(self, message: Deposit) -> None: ...


class Radio(Actor):
    @handles
    def play(self, message: Play) -> None: ...


async def use(system: System) -> None:
    ann = await system.spawn(Account)
    ann.tell(Play())  # wrong
    ann.tell("text")  # wrong
    await ann.ask(Deposit(1))  # wrong
    text: str = await ann.ask(Balance())  # wrong
    radio: Ref[Radio] = ann  # wrong
    await ann.send(Play())  # wrong
    ann.threadsafe.tell(Play())  # wrong
    print(text, radio)
