"""What the operating-system layer costs: the gate, the log, the chain, and reading a file."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.row import Row, UnavailableError
from benchmarks.timing import interleaved

from airssys import osl
from airssys.osl import OSL, Operation, Permission, Principal, executor, operation
from airssys.osl._native import AuditLog, Gate, Subject
from airssys.osl.policy import compile_policy, parse_policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

_SIZE = 65536


@operation("benchmark.nothing")
@dataclass(frozen=True, slots=True)
class Nothing(Operation[None]):
    """An operation whose effect costs nothing: what is left is the chain, the gate and the log."""

    path: str

    def permissions(self) -> tuple[Permission, ...]:
        """Read a file."""
        return (Permission("filesystem", "read", self.path),)


@executor(Nothing)
async def nothing(operation: Nothing, authority: object) -> None:
    """Do nothing."""


def policy(count: int, home: Path) -> str:
    """Return a policy of `count` rules with globs, the last of which is what is asked for."""
    others = [
        f'[[rule]]\nname = "r{number}"\nto = ["user{number % 97}", "alice"]\naccess = ["read"]\n'
        f'target = ["/data/{number}/**/*.txt"]\n'
        for number in range(count - 1)
    ]
    own = f'[[rule]]\nname = "own"\nto = ["alice"]\naccess = ["*"]\ntarget = ["{home}/**"]\n'
    return "\n".join([*others, own])


def rows(seconds: float) -> Iterator[Row]:
    """Measure everything, each for about `seconds`."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary).resolve()
        yield from _decisions(home, seconds)
        yield from _operations(home, seconds)


def _decisions(home: Path, seconds: float) -> Iterator[Row]:
    for count in (1, 100, 10_000):
        text = policy(count, home)
        begun = time.perf_counter()
        description = compile_policy(*parse_policy(text))
        parsed = time.perf_counter() - begun
        log = AuditLog(home / f"log{count}", key=bytes(32))
        gate = Gate(log)
        loaded = float("inf")
        for _ in range(3):
            begun = time.perf_counter()
            gate.load(description)
            loaded = min(loaded, time.perf_counter() - begun)
        if count == 10_000:
            yield Row(
                "osl/load-10000",
                "load 10,000 rules into the matcher",
                loaded,
                "s",
                budget=0.2,
                note=f"reading and checking them from TOML takes {parsed * 1e3:.0f} ms more",
            )
        yield from _decide(gate, count, str(home / "a"), seconds)
        log.close()


def _decide(gate: Gate, count: int, target: str, seconds: float) -> Iterator[Row]:
    alice = Subject("alice")

    def explain(turns: int) -> None:
        for _ in range(turns):
            gate.explain(alice, "filesystem", "read", target)

    def decide(turns: int) -> None:
        for _ in range(turns):
            gate.decide(alice, "filesystem", "read", target)

    if count == 100:
        cedar = _cedar(count, target)
        decided, explained, peer = interleaved(decide, explain, cedar, seconds=seconds)
    else:
        decided, explained = interleaved(decide, explain, seconds=seconds)
        peer = None
    yield Row(
        f"osl/decide-{count}",
        f"decide and record from Python, {count} rules",
        decided,
        "s",
        peer="cedarpy" if peer else None,
        peer_measured=peer,
        budget=2e-6,
        note=f"explaining without a record takes {explained * 1e6:.2f} us",
    )


def _cedar(count: int, target: str) -> Callable[[int], None]:
    try:
        import cedarpy  # noqa: PLC0415 - the peer is optional
    except ImportError as error:
        raise UnavailableError("cedarpy is not installed; make setup") from error
    policies = "\n".join(
        f'permit(principal == User::"alice", action == Action::"read", resource) '
        f'when {{ resource.path like "/data/{number}/*.txt" }};'
        for number in range(count - 1)
    )
    policies += (
        'permit(principal == User::"alice", action, resource) when '
        f'{{ resource.path like "{target}*" }};'
    )
    entities = [
        {"uid": {"type": "User", "id": "alice"}, "attrs": {}, "parents": []},
        {"uid": {"type": "File", "id": "it"}, "attrs": {"path": target}, "parents": []},
    ]
    request = {
        "principal": 'User::"alice"',
        "action": 'Action::"read"',
        "resource": 'File::"it"',
        "context": {},
    }

    def decide(turns: int) -> None:
        for _ in range(turns):
            cedarpy.is_authorized(request, policies, entities)

    return decide


def _operations(home: Path, seconds: float) -> Iterator[Row]:
    path = home / "file"
    path.write_bytes(os.urandom(_SIZE))
    written = home / "policy.toml"
    written.write_text(policy(100, home))

    def plain_read() -> bytes:
        with open(path, "rb") as file:  # noqa: PTH123 - what a plain program writes
            return file.read()

    async def threaded() -> object:
        return await asyncio.to_thread(plain_read)

    async def inline() -> object:
        return plain_read()

    async def checked() -> object:
        return await osl.read_file(path)

    async def coroutine() -> object:
        return None

    with (
        OSL(policy=written, audit=home / "audit") as system,
        system.acting_as(Principal("alice")),
        asyncio.Runner() as runner,  # takes the context that it is made in
    ):
        chain = Nothing(str(path))

        async def around() -> object:
            return await system.run(chain)

        def repeated(function: Callable[[], Awaitable[object]]) -> Callable[[int], None]:
            async def repeat(turns: int) -> None:
                for _ in range(turns):
                    await function()

            return lambda turns: runner.run(repeat(turns))

        whole, empty = interleaved(repeated(around), repeated(coroutine), seconds=seconds)
        yield Row(
            "osl/around",
            "decision and audit around an operation",
            whole - empty,
            "s",
            budget=5e-6,
            note="100 rules; the operation itself does nothing",
        )
        read, thread, same = interleaved(
            repeated(checked), repeated(threaded), repeated(inline), seconds=seconds
        )
        yield Row(
            "osl/read-64k",
            "read 64 KiB through the full chain",
            read,
            "s",
            peer="asyncio.to_thread",
            peer_measured=thread,
            ratio_budget=1 / 1.3,
            note=f"{read / same:.2f} times open and read on the loop ({same * 1e6:.1f} us)",
        )
