"""Actors that several tests use."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from airssys.rt import Actor, Ask, Down, Exit, Reason, Restarted, Tell, handles


@dataclass(frozen=True, slots=True)
class Put(Tell[Any]):
    value: Any


@dataclass(frozen=True, slots=True)
class Fail(Tell[Any]):
    error: BaseException


@dataclass(frozen=True, slots=True)
class Get(Ask[Any, list[Any]]): ...


@dataclass(frozen=True, slots=True)
class Echo(Ask[Any, Any]):
    value: Any = None


@dataclass(frozen=True, slots=True)
class Wait(Ask[Any, str]):
    """Handled by waiting for `gate`."""

    gate: asyncio.Event
    shield: bool = False


class Keeper(Actor):
    """Keeps what it is told, in order."""

    def __init__(self, log: list[Any] | None = None) -> None:
        self.values: list[Any] = []
        self.log = log if log is not None else []

    async def started(self) -> None:
        self.log.append("started")

    async def failed(self, error: BaseException, message: object) -> None:
        self.log.append(("failed", repr(error)))

    async def stopped(self, reason: Reason) -> None:
        self.log.append(("stopped", reason.kind))

    @handles
    def put(self, message: Put) -> None:
        self.values.append(message.value)

    @handles
    def fail(self, message: Fail) -> None:
        raise message.error

    @handles
    async def get(self, message: Get) -> list[Any]:
        return list(self.values)

    @handles
    def echo(self, message: Echo) -> Any:
        return message.value

    @handles
    async def wait(self, message: Wait) -> str:
        try:
            await message.gate.wait()
        except asyncio.CancelledError:
            if not message.shield:
                raise
            await message.gate.wait()
        return "waited"

    @handles(Down, Restarted, Exit)
    def notice(self, message: Any) -> None:
        self.values.append(message)
