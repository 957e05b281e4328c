"""What a call costs: scalars, strings, bytes, records, and functions of the host."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from wasmtime.component import Record

from airssys.wasm import Engine
from benchmarks.row import Row
from benchmarks.timing import Repeated, interleaved
from benchmarks.wasm.guests import guest
from benchmarks.wasm.peer import NAME, Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KIB, MIB = 1024, 1024 * 1024


def rows(seconds: float) -> Iterator[Row]:
    """Measure calls into a guest and out of it."""
    engine = Engine()
    calculator = engine.load(guest("calculator")).instantiate()
    echo = engine.load(guest("echo")).instantiate()
    peer_calculator = Peer(guest("calculator")).instantiate()
    peer_echo = Peer(guest("echo")).instantiate()
    with asyncio.Runner() as runner:
        yield from _scalars(seconds, runner, calculator, peer_calculator)
        yield from _values(seconds, echo, peer_echo)
        yield from _host_functions(seconds, runner, engine)


def _scalars(seconds: float, runner: asyncio.Runner, ours: Any, peers: Any) -> Iterator[Row]:
    add, peer_add = ours["add"], peers["add"]
    blocking, awaited, peer = interleaved(
        repeated(add, 2, 3),
        awaiting(runner, add.call_async, 2, 3),
        repeated(peer_add, 2, 3),
        seconds=seconds * 1.5,
    )
    yield Row(
        "wasm/call-add", "call add(u32, u32), blocking", blocking, "s",
        peer=NAME, peer_measured=peer, budget=0.55e-6, ratio_budget=20,
    )  # fmt: skip
    yield Row(
        "wasm/call-add-awaited", "call add(u32, u32), awaited", awaited, "s",
        peer=NAME, peer_measured=peer, budget=0.9e-6, ratio_budget=12,
        note="the peer has no awaited call; its blocking one is shown",
    )  # fmt: skip


def _values(seconds: float, ours: Any, peers: Any) -> Iterator[Row]:
    name = "demo:echo/scalars#echo-string"
    string, peer = interleaved(
        repeated(ours[name], "hello"), repeated(peers[name], "hello"), seconds=seconds
    )
    yield Row(
        "wasm/string-5", "string of 5 bytes, there and back", string, "s",
        peer=NAME, peer_measured=peer, budget=0.7e-6, ratio_budget=15,
    )  # fmt: skip
    yield from _bytes(seconds, ours, peers)
    name = "demo:echo/records#check-order"
    order = SimpleNamespace(id=7, name="seven", amount=7.5)
    peer_order = Record()
    peer_order.__dict__.update(vars(order))
    record, peer = interleaved(
        repeated(ours[name], order), repeated(peers[name], peer_order), seconds=seconds
    )
    yield Row(
        "wasm/record-3", "record with 3 fields in, result out", record, "s",
        peer=NAME, peer_measured=peer, budget=2e-6, ratio_budget=10,
    )  # fmt: skip


def _bytes(seconds: float, ours: Any, peers: Any) -> Iterator[Row]:
    name = "demo:echo/lists#echo-bytes"
    for label, size, budget in (("64 KiB", 64 * KIB, 3e-6), ("1 MiB", MIB, 300e-6)):
        data = bytes(range(256)) * (size // 256)
        mine = repeated(ours[name], data)
        beside_copies, copied = interleaved(mine, _two_copies(data), seconds=seconds / 2)
        echoed, peer = interleaved(mine, repeated(peers[name], data), seconds=seconds)
        key = label.lower().replace(" ", "-")
        yield Row(
            f"wasm/bytes-{key}", f"list<u8> of {label}, there and back", echoed, "s",
            peer=NAME, peer_measured=peer, budget=budget, ratio_budget=4000,
        )  # fmt: skip
        yield Row(
            f"wasm/bytes-{key}-copies", f"list<u8> of {label} beside two copies of it",
            beside_copies, "s",
            peer="two memcpy", peer_measured=copied, ratio_budget=0.4,
        )  # fmt: skip


def _host_functions(seconds: float, runner: asyncio.Runner, engine: Engine) -> Iterator[Row]:
    async def next_async(value: int) -> int:
        return value + 1

    def unused(*_: object) -> None:
        raise AssertionError("the benchmark does not call this")

    functions = {
        "demo:host/log": {"log": unused, "log-at": unused},
        "demo:host/store": {"get": unused, "put": unused, "find": unused},
    }
    math = {"scale": unused, "slow": unused}
    component = engine.load(guest("host-calls"))

    def instance(following: Callable[[int], Any]) -> Any:
        return component.instantiate(
            imports=functions | {"demo:host/math": math | {"next": following}}
        )

    plain = instance(lambda value: value + 1)["count"]
    coroutine = instance(next_async)["count"]
    peer_math = math | {"next": lambda _store, value: value + 1}
    peers = Peer(guest("host-calls"), functions | {"demo:host/math": peer_math}).instantiate()
    # The guest repeats the call, so that entering the guest does not count.
    blocking, awaited, peer = interleaved(
        plain,
        lambda turns: runner.run(_result(coroutine.call_async, turns)),
        peers["count"],
        seconds=seconds * 1.5,
    )
    yield Row(
        "wasm/host-function", "Python function called by a guest", blocking, "s",
        peer=NAME, peer_measured=peer, budget=1e-6, ratio_budget=None,
    )  # fmt: skip
    yield Row(
        "wasm/host-function-async", "Python async function called by a guest", awaited, "s",
        peer=NAME, peer_measured=peer, budget=5e-6,
        note="the peer has no async host functions; its blocking one is shown",
    )  # fmt: skip


async def _result(function: Callable[..., Any], *arguments: object) -> object:
    return await function(*arguments)


def repeated(function: Callable[..., object], *arguments: object) -> Repeated:
    """Call a function so many times."""

    def run(turns: int) -> None:
        for _ in range(turns):
            function(*arguments)

    return run


def awaiting(runner: asyncio.Runner, function: Callable[..., Any], *arguments: object) -> Repeated:
    """Await a function so many times, on one loop."""

    async def run(turns: int) -> None:
        for _ in range(turns):
            await function(*arguments)

    return lambda turns: runner.run(run(turns))


def _two_copies(data: bytes) -> Repeated:
    target = bytearray(len(data))

    def run(turns: int) -> None:
        for _ in range(turns):
            target[:] = data
            target[:] = data

    return run
