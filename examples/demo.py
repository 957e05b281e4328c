"""The main job of AirsSys in one run: deploy, call, replace under load, roll back, contain faults.

Run it by `make demo`. It opens a host in a temporary directory, keeps a calculator (Rust) and a
greeter (Python) under concurrent load, replaces the calculator by its next version, rolls it back
while the calls go on, lets a third component trap and run away beside them, a component actor crash
until its supervisor gives up on it, and a fourth component read a file while the right to it is
granted and taken back. It fails when a single call does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import tempfile
import time
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from airssys.errors import AirsSysError
from airssys.osl import read_records
from airssys.rt import ActorFailed
from airssys.wasm import GuestError, Host, LimitExceeded, Limits, Trap
from airssys.wasm.actors import ActorSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from airssys.wasm import Deployment

BUILT = Path(__file__).parent.parent / "build" / "components"
SINK = {"push": lambda _bytes: None, "pull": bytes}  # what the faulty component imports
WORKERS = 8
BATCH = 20  # calls of a worker before it lets the others run
STEADY = 2.0  # seconds of load between the events

# Wide enough for the tables where nobody's window says otherwise.
console = Console(width=None if sys.stdout.isatty() else 110)


@dataclass(slots=True)
class Phase:
    """What the callers saw during one part of the run."""

    name: str
    latencies: array[float] = field(default_factory=lambda: array("d"))
    versions: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    switch: float | None = None

    def quantile(self, share: float) -> float:
        """The latency in seconds that this share of the calls kept below."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Load:
    """Callers that never pause, and what they measured."""

    def __init__(self, calculator: Deployment, greeter: Deployment) -> None:
        self._calculator = calculator
        self._greeter = greeter
        self.phases = [Phase("1.0")]
        self._over = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the load up while the body runs."""
        async with asyncio.TaskGroup() as group:
            for worker in range(WORKERS):
                group.create_task(self._calculate(worker))
            group.create_task(self._greet())
            group.create_task(self._ask_version())
            yield
            self._over = True

    def enter(self, name: str) -> Phase:
        """Begin the next phase."""
        self.phases.append(Phase(name))
        return self.phases[-1]

    async def _calculate(self, worker: int) -> None:
        number = worker
        while not self._over:
            for _ in range(BATCH):
                number = (number + 1) % 1_000_000
                await self._timed(number + worker, self._calculator.call("add", number, worker))
            await asyncio.sleep(0)

    async def _greet(self) -> None:
        while not self._over:
            await self._timed("Hello, Ada!", self._greeter.call("greet", "Ada"))
            await asyncio.sleep(0)

    async def _ask_version(self) -> None:
        while not self._over:
            phase = self.phases[-1]
            phase.versions.add(await self._calculator.call("version"))
            await asyncio.sleep(0.001)

    async def _timed(self, expected: object, call: Awaitable[object]) -> None:
        phase = self.phases[-1]
        started = time.perf_counter()
        try:
            answer = await call
        except AirsSysError as error:
            phase.failures.append(str(error))
            return
        phase.latencies.append(time.perf_counter() - started)
        if answer != expected:
            phase.failures.append(f"expected {expected!r}, got {answer!r}")


async def switched(
    load: Load, during: str, after: str, change: Callable[[], Awaitable[object]]
) -> None:
    """Make a change under load and watch the callers during and after it."""
    phase = load.enter(during)
    started = time.perf_counter()
    await change()
    phase.switch = time.perf_counter() - started
    console.print(f"  {during} in {shown(phase.switch)}, under load")
    load.enter(after)
    await asyncio.sleep(STEADY)


async def contained(load: Load, host: Host) -> None:
    """Let a component trap and another call run away, beside the load."""
    load.enter("beside faults")
    limits = Limits(call_timeout=0.5)
    faults = await host.deploy(BUILT / "faults.wasm", name="demo/faults", limits=limits)
    try:
        await faults.call("trap")
    except Trap as trap:
        console.print(f"  contained a trap: {first_line(trap)}")
    else:
        raise SystemExit("error: the trap was not reported")
    try:
        await faults.call("spin")
    except LimitExceeded as limit:
        console.print(f"  contained a runaway loop: {first_line(limit)}")
    else:
        raise SystemExit("error: the runaway loop was not stopped")
    answer = await faults.call("compute", 1000)
    console.print(f"  the same deployment answers again: compute(1000) = {answer}")


async def supervised(load: Load, host: Host) -> None:
    """Let a component actor crash in the middle of its messages, beside the load."""
    load.enter("beside a crash")
    counter = await host.deploy(
        BUILT / "counter-rust.wasm",
        name="demo/counter",
        lifetime="actor",
        actor=ActorSettings(codec="json", burst=3),
    )
    ref = counter.actor()
    for amount in range(1, 101):
        ref.tell({"add": amount})
    crash = ref.ask({"divide": 0})
    ref.tell({"add": 1})  # is behind the crash in the mailbox
    try:
        await crash
    except ActorFailed as failure:
        console.print(f"  a component actor crashed: {first_line(failure)}")
    else:
        raise SystemExit("error: the crash was not reported")
    count = await ref.ask("get")
    seen = host.system.inspect(ref)
    console.print(
        f"  its supervisor restarted it ({seen.restarts}), the mailbox was kept: it counts {count}"
    )
    if (count, seen.restarts, seen.books.dead) != (1, 1, 1):
        raise SystemExit(f"error: the restart lost something: {seen.books}")
    for _ in range(3):
        with contextlib.suppress(AirsSysError):
            await ref.ask({"divide": 0})
    async with asyncio.timeout(10.0):
        while counter.held is None:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.001)
    console.print(f"  and gave up on a crash loop: {counter.held.partition(';')[0]}")


async def governed(load: Load, host: Host) -> None:
    """Refuse a component, grant it what it asks for, and take that back while it reads."""
    load.enter("beside a revocation")
    data = host.directory.parent / "data"
    data.mkdir()
    (data / "names").write_text("ada, grace, alan")
    reader = await host.deploy(
        BUILT / "file-reader.wasm",
        name="demo/reader",
        lifetime="pooled",
        instances=1,
        capabilities={"filesystem": [{"path": "/data/*", "access": ["read"]}]},
        mounts={"/data": data},
    )
    try:
        await reader.call("open-file", "/data/names")
    except GuestError as refused:
        console.print(f"  a component asks for a file and is refused: {first_line(refused)}")
    else:
        raise SystemExit("error: nothing was granted, and the file was opened")
    (grant,) = await reader.grant(why="to show it")
    await reader.call("open-file", "/data/names")
    read = await reader.call("read-file", 3)
    started = time.perf_counter()
    await reader.revoke(grant, why="to show that too")
    revoked = time.perf_counter() - started
    try:
        await reader.call("read-file", 3)
    except GuestError:
        console.print(
            f"  granted, it reads {read.decode()!r}; revoked in mid-read, in {shown(revoked)}, "
            "it reads no more"
        )
    else:
        raise SystemExit("error: the right was revoked, and the file could be read")
    host.osl.audit.flush()
    told = [
        f"{record.decision} ({record.rule})" if record.principal else record.operation
        for record in read_records(host.directory / "audit")
        if record.operation.startswith(("filesystem.", "rights."))
    ]
    console.print(f"  the audit log has each step: {', '.join(told)}")
    if len(told) != 5:
        raise SystemExit("error: the audit log does not tell all of it")


async def run(directory: str) -> tuple[list[Phase], Table]:
    """Play the whole story in a directory."""
    async with Host.open(Path(directory) / "state", provides={"demo:faults/sink": SINK}) as host:
        started = time.perf_counter()
        calculator = await host.deploy(
            BUILT / "calculator.wasm", name="demo/calculator", lifetime="pooled"
        )
        greeter = await host.deploy(
            BUILT / "greeter-python.wasm", name="demo/greeter", lifetime="pooled"
        )
        console.print(f"  deployed two components in {time.perf_counter() - started:.1f} s")
        load = Load(calculator, greeter)
        async with load.running():
            await asyncio.sleep(STEADY)
            await switched(
                load,
                "1.0 to 1.1",
                "1.1",
                lambda: calculator.deploy(BUILT / "calculator-1-1.wasm"),
            )
            await switched(load, "1.1 back to 1.0", "1.0 again", calculator.rollback)
            await contained(load, host)
            await supervised(load, host)
            await governed(load, host)
        return load.phases, usage(host)


def shown(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:,.1f} ms"


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return str(error).splitlines()[0]


def report(phases: list[Phase]) -> Table:
    """Lay out what the callers saw."""
    table = Table(title="calls while the components changed", title_justify="left")
    table.add_column("phase")
    table.add_column("version")
    for column in ("calls", "failures", "p50", "p99", "max", "switch"):
        table.add_column(column, justify="right")
    for phase in phases:
        quantiles = [shown(phase.quantile(share)) for share in (0.5, 0.99, 1.0)]
        failures = f"[red]{len(phase.failures)}[/]" if phase.failures else "0"
        switch = "" if phase.switch is None else shown(phase.switch)
        versions = ", ".join(sorted(phase.versions))
        table.add_row(
            phase.name, versions, f"{len(phase.latencies):,}", failures, *quantiles, switch
        )
    return table


def usage(host: Host) -> Table:
    """Lay out what the host counted."""
    table = Table(title="what the host counted (memory: of one instance)", title_justify="left")
    table.add_column("deployment")
    columns = ("revision", "calls", "failed", "traps", "limits", "CPU", "memory")
    for column in columns:
        table.add_column(column, justify="right")
    for deployment in host.deployments():
        for revision in deployment.statistics().revisions:
            counts = (revision.calls, revision.failures, revision.traps, revision.limits)
            table.add_row(
                deployment.name,
                str(revision.revision),
                *(f"{count:,}" for count in counts),
                f"{revision.cpu_seconds:.2f} s",
                f"{revision.memory_peak / 2**20:.1f} MiB",
            )
    return table


def main() -> int:
    """Run the demo; 1 when any call failed, 130 when interrupted."""
    # What goes wrong here is meant to, and told by the demo itself.
    logging.getLogger("airssys").addHandler(logging.NullHandler())
    console.print("[bold]a host in a temporary directory[/]")
    try:
        with tempfile.TemporaryDirectory(prefix="airssys-demo-") as directory:
            phases, counted = asyncio.run(run(directory))
    except KeyboardInterrupt:
        console.print("demo: interrupted; nothing is left behind")
        return 130
    console.print(report(phases), counted, sep="\n")
    failures = [failure for phase in phases for failure in phase.failures]
    for failure in failures[:5]:
        console.print(f"[red]failed:[/] {failure}")
    calls = sum(len(phase.latencies) for phase in phases)
    console.print(f"{calls:,} calls, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
