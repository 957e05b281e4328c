"""Use a host hard for a long time and watch what it holds: `python -m benchmarks.soak [SECONDS]`.

Calls, replacements, rollbacks, traps, runaway loops and cancelled calls go on together. It fails
when a call fails that should not, or when memory, open files or memory mappings keep growing.
Before that, `ROUNDS` rounds of everything at random; see `benchmarks.wasm.turmoil`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from airssys.errors import AirsSysError
from airssys.wasm import Host, LimitExceeded, Limits, Trap
from benchmarks.wasm.guests import guest
from benchmarks.wasm.turmoil import Turmoil

if TYPE_CHECKING:
    from airssys.wasm import Deployment

SINK = {"push": lambda _bytes: None, "pull": bytes}
VERSIONS = ("calculator", "calculator-1-1")
GROWTH = 1.2  # most that anything may hold at the end, against a fifth of the way
LINES = 20  # reports in all
ROUNDS = 30  # of random steps
STEPS = 200  # of each thread in a round


@dataclass(slots=True)
class Counts:
    """What happened so far."""

    calls: int = 0
    replacements: int = 0
    contained: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """What the process holds."""

    memory: int
    files: int
    mappings: int

    @classmethod
    def now(cls) -> Held:
        """Look at this process."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        mappings = Path("/proc/self/maps").read_text().count("\n")
        return cls(
            pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path("/proc/self/fd").iterdir())), mappings
        )

    def grown_since(self, earlier: Held) -> list[str]:
        """Name what grew beyond what is tolerated."""
        pairs = (
            ("bytes of memory", self.memory, earlier.memory),
            ("open files", self.files, earlier.files),
            ("mappings", self.mappings, earlier.mappings),
        )
        return [
            f"{name}: {before:,} grew to {after:,}"
            for name, after, before in pairs
            if after > GROWTH * before
        ]


async def call(calculator: Deployment, counts: Counts) -> NoReturn:
    """Call without end; any error ends the soak."""
    while True:
        for _ in range(50):
            counts.calls += 1
            number = counts.calls % 1000
            total = await calculator.call("add", number, 1)
            if total != number + 1:
                raise AssertionError(f"add({number}, 1) answered {total}")
        await asyncio.sleep(0)


async def replace(calculator: Deployment, counts: Counts) -> NoReturn:
    """Replace and roll back without end."""
    while True:
        await calculator.deploy(guest(VERSIONS[counts.replacements % 2]))
        if counts.replacements % 5 == 4:
            await calculator.rollback()
        counts.replacements += 1
        await asyncio.sleep(0.01)


async def misbehave(faults: Deployment, counts: Counts) -> NoReturn:
    """Trap, run away and be cancelled without end."""
    while True:
        for function, expected in (("trap", Trap), ("spin", LimitExceeded)):
            try:
                await faults.call(function)
            except expected:
                counts.contained += 1
        sleeping = asyncio.ensure_future(faults.call("sleep-forever"))
        await asyncio.sleep(0.01)
        sleeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sleeping
        counts.cancelled += 1


async def watch(seconds: float, counts: Counts) -> list[str]:
    """Report while the time runs, and say what grew."""
    settled = Held.now()
    for line in range(LINES):
        await asyncio.sleep(seconds / LINES)
        held = Held.now()
        if line == LINES // 5:
            settled = held
        print(
            time.strftime("%H:%M:%S"),
            f"{counts.calls:,} calls  {counts.replacements:,} replacements",
            f"{counts.contained:,} contained  {counts.cancelled:,} cancelled",
            f"{held.memory >> 20} MiB  {held.files} files  {held.mappings} mappings",
            sep="  ",
            flush=True,
        )
    return Held.now().grown_since(settled)


async def soak(seconds: float) -> list[str]:
    """Run everything for so many seconds; what went wrong."""
    counts = Counts()
    with tempfile.TemporaryDirectory(prefix="airssys-soak-") as directory:
        async with Host.open(directory, provides={"demo:faults/sink": SINK}) as host:
            calculator = await host.deploy(
                guest(VERSIONS[0]), name="soak/calculator", lifetime="pooled"
            )
            limits = Limits(call_timeout=0.2)
            faults = await host.deploy(guest("faults"), name="soak/faults", limits=limits)
            work = [
                asyncio.ensure_future(each)
                for each in (
                    call(calculator, counts),
                    call(calculator, counts),
                    replace(calculator, counts),
                    misbehave(faults, counts),
                )
            ]
            watching = asyncio.ensure_future(watch(seconds, counts))
            done, _ = await asyncio.wait([*work, watching], return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                task.cancel()
            broken = [task.exception() for task in done if task is not watching]
            if broken:
                watching.cancel()
                return [f"{type(error).__name__}: {error}" for error in broken]
            return watching.result()


def turmoil() -> list[str]:
    """Take random steps by many threads, round after round; what went wrong, and the seed."""
    for seed in range(ROUNDS):
        run = Turmoil(seed, steps=STEPS)
        wrong = run.run()
        print(f"turmoil {seed}: {run.happened.total():,} steps, {len(wrong)} wrong", flush=True)
        if wrong:
            return [f"seed {seed}: {each}" for each in wrong]
    return []


def main() -> int:
    """Run the command line."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    try:
        wrong = turmoil() or asyncio.run(soak(seconds))
    except AirsSysError as error:
        wrong = [str(error)]
    except KeyboardInterrupt:
        print("soak: interrupted", file=sys.stderr)
        return 130
    for each in wrong:
        print(f"wrong: {each}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
