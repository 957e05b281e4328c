"""Messages between Python and components, and restarts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airssys.errors import AirsSysError
from airssys.rt import Actor, Ask, Tell, handles
from airssys.wasm import Host
from airssys.wasm.actors import ActorSettings, ComponentRef
from benchmarks.actors import nats
from benchmarks.row import Row
from benchmarks.timing import ROUNDS, interleaved
from benchmarks.wasm.guests import guest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from airssys.rt import Ref

RT = "airssys.rt, Python to Python"
PAYLOAD = b"\x55" + bytes(63)
CRASH = b"\x80\x04" + b'{"divide":0}'
GET = b"\x80\x04" + b'"get"'
IN_ONE_GO = 900  # tells that a mailbox of 1,000 takes at once


@dataclass(frozen=True, slots=True)
class Note(Tell[Any]):
    """A tell between Python actors."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Question(Ask[Any, bytes]):
    """An ask between Python actors."""

    body: bytes


class Plain(Actor):
    """A Python actor that gives back what it is asked."""

    @handles
    def note(self, message: Note) -> None: ...

    @handles
    def answer(self, message: Question) -> bytes:
        return message.body


class Sink(Actor):
    """A Python actor that components send to."""

    @handles
    def take(self, message: bytes) -> None: ...


@dataclass(slots=True)
class Cast:
    """Who takes part."""

    host: Host
    echo: ComponentRef[Any]
    sender: ComponentRef[Any]
    counter: ComponentRef[Any]
    plain: Ref[Any]
    nats: Callable[[], Awaitable[object]]


def rows(seconds: float) -> Iterator[Row]:
    """Measure in one loop, one host and one server."""
    with (
        tempfile.TemporaryDirectory() as state,
        nats.server() as address,
        asyncio.Runner() as runner,
    ):
        stack = contextlib.AsyncExitStack()
        cast = runner.run(_assemble(stack, state, address))
        try:
            yield from _rows(cast, runner, seconds)
        finally:
            runner.run(stack.aclose())


async def _assemble(stack: contextlib.AsyncExitStack, state: str, address: str) -> Cast:
    host = await stack.enter_async_context(Host.open(state))
    request = await stack.enter_async_context(nats.requests(address, PAYLOAD))
    everybody = {"messaging": [{"send": "**"}, {"ask": "**"}]}
    often = {"burst": 10**9, "max_consecutive": 10**9}

    async def actor(
        name: str, component: str, capabilities: Any = None, **settings: Any
    ) -> ComponentRef[Any]:
        deployment = await host.deploy(
            guest(component),
            name=name,
            lifetime="actor",
            actor=ActorSettings(**settings),
            capabilities=capabilities,
            grant="requested",
        )
        return await deployment.start()

    sink = await host.system.spawn(Sink)
    host.expose(sink, "bench/sink", expected=bytes)
    return Cast(
        host=host,
        echo=await actor("bench/echo", "actor-echo"),
        sender=await actor("bench/sender", "actor-echo", capabilities=everybody),
        counter=await actor("bench/counter", "counter-rust", **often),
        plain=await host.system.spawn(Plain),
        nats=request,
    )


def _rows(cast: Cast, runner: asyncio.Runner, seconds: float) -> Iterator[Row]:
    def repeated(once: Callable[[], Awaitable[object]]) -> Callable[[int], None]:
        async def many(turns: int) -> None:
            for _ in range(turns):
                await once()

        return lambda turns: runner.run(many(turns))

    question = Question(PAYLOAD)
    component, python, peer = interleaved(
        repeated(lambda: cast.echo.ask(PAYLOAD, 5.0)),
        repeated(lambda: cast.plain.ask(question, 5.0)),
        repeated(cast.nats),
        seconds=3 * seconds,
    )
    note = "64 bytes, one at a time"
    yield Row(
        key="actors/ask",
        what="ask from Python to a component",
        measured=component,
        unit="s",
        peer=nats.NAME,
        peer_measured=peer,
        budget=6e-6,
        note=note,
    )
    yield Row(
        key="actors/ask-beside-rt",
        what="the same beside an ask between Python actors",
        measured=component,
        unit="s",
        peer=RT,
        peer_measured=python,
        note=note,
    )
    told, python_told = runner.run(_tells(cast))
    yield Row(
        key="actors/tell",
        what="tell from Python to a component, sender's side",
        measured=told,
        unit="s",
        peer=RT,
        peer_measured=python_told,
        budget=2e-6,
    )
    asked = runner.run(_by_component(cast, b"?", "bench/echo", seconds))
    yield Row(
        key="actors/component-ask",
        what="ask from component to component",
        measured=asked,
        unit="s",
        peer=nats.NAME,
        peer_measured=peer,
        budget=2e-6,
        note="mean of the best round, seen by the guest that asks",
    )
    sent = runner.run(_by_component(cast, b">", "bench/echo", seconds))
    yield Row(
        key="actors/component-tell",
        what="messages from component to component, one way",
        measured=1 / sent,
        unit="/s",
        better="higher",
        budget=1.2e6,
    )
    sent = runner.run(_by_component(cast, b">", "bench/sink", seconds))
    yield Row(
        key="actors/component-to-python",
        what="messages from a component to a Python actor",
        measured=1 / sent,
        unit="/s",
        better="higher",
        budget=3e5,
    )
    logging.disable()  # of every crash
    restarted, plain = interleaved(
        repeated(lambda: _crash(cast.counter)),
        repeated(lambda: cast.counter.ask(GET, 5.0)),
        seconds=seconds,
    )
    logging.disable(logging.NOTSET)
    yield Row(
        key="actors/restart",
        what="trap of a component to the answer of the next instance",
        measured=restarted - plain,
        unit="s",
        budget=1e-4,
        note="a failing and an answered ask, less one answered ask",
    )


async def _tells(cast: Cast) -> tuple[float, float]:
    """Time the sender's side of tells, in turns that the mailbox has room for."""
    best = [float("inf"), float("inf")]
    message, question = Note(PAYLOAD), Question(PAYLOAD)
    for _ in range(3 * ROUNDS):
        for index, (ref, told, asked) in enumerate(
            ((cast.echo, PAYLOAD, PAYLOAD), (cast.plain, message, question))
        ):
            started = time.perf_counter()
            for _ in range(IN_ONE_GO):
                ref.tell(told)
            taken = (time.perf_counter() - started) / IN_ONE_GO
            best[index] = min(best[index], taken)
            await ref.ask(asked, 5.0)  # it has handled the others by then
    return best[0], best[1]


async def _by_component(cast: Cast, order: bytes, target: str, seconds: float) -> float:
    """Have a component send; seconds per message in the best round, by its own clock."""
    best, count, spent = float("inf"), 1000, 0.0
    while spent < seconds:
        command = b"\x55" + order + count.to_bytes(4, "little") + target.encode()
        answer = await cast.sender.ask(command, 60.0)
        taken = int.from_bytes(answer, "little") / 1e9
        best = min(best, taken / count)
        spent += taken
        if taken < seconds / ROUNDS:
            count = min(count * 2, 1_000_000)
    return best


async def _crash(counter: ComponentRef[Any]) -> None:
    with contextlib.suppress(AirsSysError):
        await counter.ask(CRASH, 5.0)
    await counter.ask(GET, 5.0)
