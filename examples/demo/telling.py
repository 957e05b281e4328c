"""What the demo prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from examples.demo.load import Phase

# Wide enough for the tables where nobody's window says otherwise.
console: Final = Console(width=None if sys.stdout.isatty() else 140, highlight=False)


def chapter(title: str) -> None:
    """Begin another part of the story."""
    console.print(f"[bold]{title}[/]")


def tell(text: str) -> None:
    """Say what happened."""
    console.print(f"  {text}", markup=False)


def fail(text: str) -> SystemExit:
    """Make what ends the demo where something is not as it is promised."""
    return SystemExit(f"error: {text}")


def shown(seconds: float | None) -> str:
    """Write a time in the unit that suits it."""
    if seconds is None:
        return ""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return str(error).splitlines()[0]


def mebibytes(size: float) -> str:
    """Write a size in mebibytes."""
    return f"{size / 2**20:.1f} MiB"


def calls_table(phases: list[Phase]) -> Table:
    """Lay out what the callers saw, phase by phase."""
    table = Table(title="what the callers saw (times from when each was due)", title_justify="left")
    for column in ("phase", "version"):
        table.add_column(column)
    columns = ("calls", "failed", "by the trial", "HTTP p50", "p99", "call p50", "p99", "took")
    for column in (*columns, "server"):
        table.add_column(column, justify="right")
    for phase in phases:
        quantiles = [
            shown(phase.quantile(way, share)) for way in ("HTTP", "call") for share in (0.5, 0.99)
        ]
        table.add_row(
            phase.name,
            ", ".join(sorted(phase.versions)),
            f"{phase.calls:,}",
            f"[red]{len(phase.failures)}[/]" if phase.failures else "0",
            f"{phase.trapped} ({phase.trapped / phase.calls:.2%})" if phase.trial else "",
            *quantiles,
            shown(phase.took),
            mebibytes(phase.memory),
        )
    return table


def counted_table(deployments: Iterable[Any]) -> Table:
    """Lay out what the server counted, revision by revision."""
    table = Table(title="what the server counted (memory: of one instance)", title_justify="left")
    table.add_column("deployment")
    for column in ("revision", "calls", "failed", "traps", "limits", "CPU", "memory"):
        table.add_column(column, justify="right")
    for deployment in deployments:
        for revision in deployment.statistics().revisions:
            counts = (revision.calls, revision.failures, revision.traps, revision.limits)
            table.add_row(
                deployment.name,
                str(revision.revision),
                *(f"{count:,}" for count in counts),
                f"{revision.cpu_seconds:.2f} s",
                mebibytes(revision.memory_peak),
            )
    return table
