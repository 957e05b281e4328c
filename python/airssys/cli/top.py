"""The command `top`: what the deployments of a host do now."""

from __future__ import annotations

import itertools
import sys
import time
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer

from airssys.cli.configuration import State  # noqa: TC001 - typer looks at annotations
from airssys.cli.names import served
from airssys.cli.output import Json, escaped, size_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from airssys.wasm.delivery.records import RolloutStatus
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost
    from airssys.wasm.remote.wire import DeploymentState

__all__ = ["add_to"]


class Rate(NamedTuple):
    """What a deployment did since the last look.

    Attributes:
        name: The deployment.
        held: Why it takes no calls, or None.
        revision: The live one.
        calls_per_second: Calls that ended, and messages that were handled.
        failures_per_second: Those without an answer.
        cpu: Processor time of its guests, in parts of one processor.
        in_flight: Calls now.
        p50: Seconds that half of the live revision's calls did not exceed since the start.
        p99: The same of 99 of 100.
        memory: Bytes of linear memory.
    """

    name: str
    held: str | None
    revision: int
    calls_per_second: float
    failures_per_second: float
    cpu: float
    in_flight: int
    p50: float
    p99: float
    memory: int


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(top)


def top(
    *,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.1, help="Between two looks.")
    ] = 2.0,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="N", min=1, help="End after so many looks."),
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Show what the deployments of a host that is served do, the busiest first, and the rollouts.

    Without a terminal, and with `--json`, each look is printed after the other; `--json` prints a
    JSON object with the deployments on a line of its own.
    """
    with served(state) as host:
        if as_json or not sys.stdout.isatty():
            _print(host, interval, range(count or 1), as_json=as_json)
        else:
            _draw(host, interval, itertools.count() if count is None else range(count))


def _print(host: BlockingConnectedHost, interval: float, looks: range, *, as_json: bool) -> None:
    from rich.console import Console  # noqa: PLC0415

    before = _look(host)
    for _ in looks:
        time.sleep(interval)
        after = _look(host)
        rates = rates_of(before, after)
        if as_json:
            rollouts = [_told(each) for each in after.rollouts]
            document = {"deployments": [each._asdict() for each in rates], "rollouts": rollouts}
            sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
            sys.stdout.flush()
        else:
            Console(width=200).print(_drawn(rates, after.rollouts))
        before = after


def _draw(
    host: BlockingConnectedHost, interval: float, looks: range | itertools.count[int]
) -> None:
    from rich.live import Live  # noqa: PLC0415

    before = _look(host)
    with Live(
        _drawn(rates_of(before, before), before.rollouts), screen=True, auto_refresh=False
    ) as live:
        for _ in looks:
            time.sleep(interval)
            after = _look(host)
            live.update(_drawn(rates_of(before, after), after.rollouts), refresh=True)
            before = after


class Look(NamedTuple):
    """How everything is at a moment."""

    at: float
    states: dict[str, DeploymentState]
    rollouts: tuple[RolloutStatus, ...]


def _look(host: BlockingConnectedHost) -> Look:
    states = {each.name: each for each in host.states()}
    return Look(time.monotonic(), states, host.rollouts())


def rates_of(before: Look, after: Look) -> list[Rate]:
    """Return what each deployment did between two looks, the busiest first."""
    seconds = max(after.at - before.at, 1e-9)
    rates = []
    for name, state in after.states.items():
        now = state.statistics
        old = before.states[name].statistics if name in before.states else None
        live = next((e for e in now.revisions if e.revision == state.revision.number), None)
        rates.append(
            Rate(
                name=name,
                held=state.held,
                revision=state.revision.number,
                calls_per_second=(now.calls - (old.calls if old else 0)) / seconds,
                failures_per_second=(now.failures - (old.failures if old else 0)) / seconds,
                cpu=(now.cpu_seconds - (old.cpu_seconds if old else 0.0)) / seconds,
                in_flight=now.in_flight,
                p50=live.p50 if live else 0.0,
                p99=live.p99 if live else 0.0,
                memory=now.memory,
            )
        )
    return sorted(rates, key=lambda each: (-each.calls_per_second, each.name))


def _table(rates: list[Rate]) -> Table:
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "revision", "calls/s", "failed/s", "cpu", "now", "p50", "p99", "memory"):
        table.add_column(column, justify="left" if column == "name" else "right")
    for each in rates:
        table.add_row(
            escaped(each.name) + (" [red]held[/]" if each.held else ""),
            str(each.revision),
            f"{each.calls_per_second:.1f}",
            f"{each.failures_per_second:.1f}",
            f"{each.cpu * 100:.0f} %",
            str(each.in_flight),
            f"{each.p50 * 1000:.2f} ms",
            f"{each.p99 * 1000:.2f} ms",
            size_text(each.memory),
        )
    return table


def _verdict(each: RolloutStatus) -> str:
    if each.judgement is None:
        return "nothing is judged"
    return f"{each.judgement.verdict}: {each.judgement.why}"


def _told(each: RolloutStatus) -> dict[str, object]:
    return {
        "deployment": each.deployment,
        "from_revision": each.from_revision,
        "to_revision": each.to_revision,
        "strategy": each.strategy,
        "state": each.state,
        "weight": each.weight,
        "calls": each.calls,
        "verdict": None if each.judgement is None else each.judgement.verdict,
        "why": each.why if each.judgement is None else each.judgement.why,
    }


def _drawn(rates: list[Rate], rollouts: tuple[RolloutStatus, ...]) -> RenderableType:
    if not rollouts:
        return _table(rates)
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("rollout", "revision", "strategy", "state", "weight", "calls", "verdict so far"):
        table.add_column(column)
    for each in rollouts:
        table.add_row(
            escaped(each.deployment),
            f"{each.from_revision} -> {each.to_revision}",
            each.strategy,
            each.state,
            f"{each.weight:.1%}",
            f"{each.calls[0]} live, {each.calls[1]} new",
            escaped(_verdict(each)),
        )
    return Group(_table(rates), "", table)
