"""What an operation costs around its effect, and reading a file."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airssys import osl
from airssys.osl import OSL, Operation, Permission, Principal, executor, operation
from benchmarks.osl.policies import policy
from benchmarks.row import Row
from benchmarks.timing import interleaved

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

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


def rows(home: Path, seconds: float) -> Iterator[Row]:
    """Measure the chain around nothing, and around reading a file."""
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

        (whole,) = interleaved(repeated(around), seconds=seconds)
        yield Row(
            "osl/around",
            "decision and audit around an operation",
            whole,
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
