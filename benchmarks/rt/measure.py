"""What is measured. Every figure is the best of some rounds: the machine is shared."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
import tracemalloc
from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from airssys.rt import (
    ONE_FOR_ALL,
    Actor,
    Ask,
    Bounded,
    Child,
    MailboxFull,
    Ref,
    Supervisor,
    System,
    Tell,
    bulk_spawn,
    handles,
)
from benchmarks.row import Row
from benchmarks.rt import peers

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 5
BOUND = 1024


@dataclass(frozen=True, slots=True)
class Note(Tell[Any]):
    number: int


@dataclass(frozen=True, slots=True)
class Question(Ask[Any, int]):
    number: int


@dataclass(frozen=True, slots=True)
class Produce(Ask["Producer", float]):
    target: Ref[Any]
    count: int


@dataclass(frozen=True, slots=True)
class Interview(Ask["Producer", list[float]]):
    target: Ref[Any]
    count: int


class Plain(Actor):
    @handles
    def note(self, message: Note) -> None: ...

    @handles
    def answer(self, message: Question) -> int:
        return message.number


class Coroutine(Actor):
    @handles
    async def note(self, message: Note) -> None: ...

    @handles
    async def answer(self, message: Question) -> int:
        return message.number


class AsyncStarted(Actor):
    async def started(self) -> None: ...


class Fragile(Actor):
    @handles
    def note(self, message: Note) -> None:
        raise ValueError(message.number)

    @handles
    def answer(self, message: Question) -> int:
        return message.number


class Producer(Actor):
    @handles
    async def produce(self, message: Produce) -> float:
        target = message.target
        note = Note(0)
        began = time.perf_counter()
        for _ in range(message.count):
            try:
                target.tell(note)
            except MailboxFull:
                await target.send(note)
        await target.ask(Question(1))
        return time.perf_counter() - began

    @handles
    async def interview(self, message: Interview) -> list[float]:
        target = message.target
        question = Question(1)
        clock = time.perf_counter
        times: list[float] = []
        for _ in range(message.count):
            began = clock()
            await target.ask(question, 1.0)
            times.append(clock() - began)
        return times


def p50_p99(times: list[float]) -> tuple[float, float]:
    cuts = quantiles(times, n=100)
    return cuts[49] * 1e6, cuts[98] * 1e6


async def tell_rate(kind: type[Actor], count: int) -> float:
    async with System("tell") as system:
        producer = await system.spawn(Producer)
        target = await system.spawn(kind, mailbox=Bounded(BOUND, full="wait"))
        best = float("inf")
        for _ in range(ROUNDS):
            best = min(best, await producer.ask(Produce(target, count), 600))
        return count / best / 1e6


async def ask_times(kind: type[Actor], count: int) -> tuple[float, float]:
    async with System("ask") as system:
        producer = await system.spawn(Producer)
        target = await system.spawn(kind)
        found = [p50_p99(await producer.ask(Interview(target, count), 600)) for _ in range(ROUNDS)]
        return min(one[0] for one in found), min(one[1] for one in found)


async def ask_from_task(count: int) -> tuple[float, float]:
    async with System("task") as system:
        target = await system.spawn(Plain)
        question = Question(1)
        clock = time.perf_counter
        found = []
        for _ in range(ROUNDS):
            times: list[float] = []
            for _ in range(count):
                began = clock()
                await target.ask(question, 1.0)
                times.append(clock() - began)
            found.append(p50_p99(times))
        return min(one[0] for one in found), min(one[1] for one in found)


async def spawn_time(kind: type[Actor], count: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        async with System("spawn") as system:
            gc.collect()
            gc.freeze()
            began = time.perf_counter()
            for _ in range(count):
                await system.spawn(kind)
            best = min(best, time.perf_counter() - began)
        gc.unfreeze()
    return best / count * 1e6


async def idle_bytes(count: int, *, used: bool) -> float:
    note = Note(1)
    async with System("idle") as system:
        await system.spawn(Plain)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        refs = [await system.spawn(Coroutine) for _ in range(count)]
        if used:
            for ref in refs:
                ref.tell(note)
            await asyncio.sleep(0)
            await refs[-1].ask(Question(1))
        gc.collect()
        size = tracemalloc.get_traced_memory()[0] - before - sys.getsizeof(refs)
        tracemalloc.stop()
        return size / count


async def restart_time(count: int) -> float:
    async with System("restart") as system:
        top = await system.start(
            Supervisor("top", burst=10**9, children=[Child("a", Fragile, max_consecutive=10**9)])
        )
        ref = top.child("a")
        times: list[float] = []
        for _ in range(count):
            began = time.perf_counter()
            ref.tell(Note(1))
            await ref.ask(Question(1))
            times.append(time.perf_counter() - began)
        return p50_p99(times)[0]


async def tree_restart_time(depth: int, count: int) -> float:
    """From a leaf's failure to the last actor of a chain of supervisors being ready again."""
    spec: Supervisor | Child = Child("leaf", Plain)
    for level in range(depth):
        spec = Supervisor(f"s{level}", ONE_FOR_ALL, children=[spec], burst=10**9)
    assert isinstance(spec, Supervisor)
    top_spec = Supervisor(
        "top",
        ONE_FOR_ALL,
        burst=10**9,
        children=[Child("bad", Fragile, max_consecutive=10**9), spec],
    )
    async with System("tree") as system:
        top = await system.start(top_spec)
        path = "/".join(f"s{level}" for level in reversed(range(depth))) + "/leaf"
        times: list[float] = []
        for _ in range(count):
            began = time.perf_counter()
            top.child("bad").tell(Note(1))
            await top.child("bad").ask(Question(1))
            await top.child(path).ask(Question(1))
            times.append(time.perf_counter() - began)
        return p50_p99(times)[0]


def _micro(key: str, what: str, value: float, most: float | None = None, **more: Any) -> Row:
    """Return a row for `value` microseconds."""
    budget = None if most is None else most * 1e-6
    return Row(f"rt/{key}", what, value * 1e-6, "s", budget=budget, **more)


async def with_a_million() -> list[Row]:
    """Measure what a million actors cost; takes minutes and gigabytes."""
    rows: list[Row] = []
    async with System("million") as system:
        gc.collect()
        gc.freeze()
        began = time.process_time()  # it takes long enough to be preempted many times
        with bulk_spawn():
            for _ in range(1_000_000):
                await system.spawn(Plain)
            seconds = time.process_time() - began
        gc.unfreeze()
        rows.append(_micro("million-spawn", "spawn one of a million, CPU", seconds, 2))
        began = time.perf_counter()
        gc.collect()
        took = time.perf_counter() - began
        rows.append(Row("rt/million-collect", "full collection, million alive", took, "s"))
        began = time.perf_counter()
        gc.freeze()
        gc.collect()
        took = time.perf_counter() - began
        rows.append(Row("rt/million-frozen", "the same after gc.freeze()", took, "s"))
        producer = await system.spawn(Producer)
        target = await system.spawn(Plain)
        p50, p99 = p50_p99(await producer.ask(Interview(target, 50_000), 600))
        rows.append(_micro("million-ask-p50", "ask p50, million alive", p50, 2))
        rows.append(_micro("million-ask-p99", "ask p99, million alive", p99, 15))
        gc.disable()
        began = time.perf_counter()
        await system.shutdown(600)
        rows.append(Row("rt/million-stop", "stop a million", time.perf_counter() - began, "s"))
        gc.enable()
    gc.unfreeze()
    return rows


def measure(*, scale: float = 1.0) -> Iterator[Row]:
    """Measure everything but the million, `scale` times the usual work."""
    # What an actor fails on is a dead letter, here thousands of them.
    logging.getLogger("airssys.rt.dead_letters").disabled = True
    run = asyncio.run
    n = int(300_000 * scale)
    queue_rate = peers.asyncio_queue_rate(n, BOUND)
    for kind, least in ((Plain, 0.75), (Coroutine, 0.45)):
        name = kind.__name__.lower()
        yield Row(
            f"rt/tell-{name}",
            f"tell, {name} handler",
            run(tell_rate(kind, n)) * 1e6,
            "/s",
            "higher",
            "asyncio.Queue",
            queue_rate * 1e6,
            ratio_budget=least,
        )
    m = int(50_000 * scale)
    queue_ask = peers.asyncio_queue_ask(m) * 1e-6
    for kind, most in ((Plain, 2.0), (Coroutine, 2.5)):
        p50, p99 = run(ask_times(kind, m))
        name = kind.__name__.lower()
        peer = {"peer": "asyncio.Queue", "peer_measured": queue_ask}
        yield _micro(f"ask-{name}", f"ask p50, {name} handler", p50, most, **peer)
        yield _micro(f"ask-{name}-p99", f"ask p99, {name} handler", p99, 6)
    p50, p99 = run(ask_from_task(m))
    for name, value in peers.asks(int(3000 * scale)):
        peer = {"peer": name, "peer_measured": value * 1e-6}
        yield _micro(f"ask-task-{name.lower()}", "ask p50 from a task", p50, 6, **peer)
    yield _micro("ask-task-p99", "ask p99 from a task", p99)
    for kind in (Plain, AsyncStarted):
        value = run(spawn_time(kind, int(50_000 * scale)))
        yield _micro(f"spawn-{kind.__name__.lower()}", f"spawn, {kind.__name__}", value, 2)
    for used in (False, True):
        value = run(idle_bytes(int(20_000 * scale), used=used))
        what = "used idle actor" if used else "idle actor"
        yield Row(f"rt/{what.replace(' ', '-')}", what, value, "B", budget=800)
    value = run(restart_time(int(3000 * scale)))
    yield _micro("restart", "failure to ready again", value, 20)
    value = run(tree_restart_time(10, int(500 * scale)))
    yield _micro("restart-tree", "tree of depth 10 restarts", value, 1000)
