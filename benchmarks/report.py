"""Show rows as a table and write them as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from benchmarks.row import Row, Unit

_TIME = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
_SIZE = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


def shown(figure: float | None, unit: Unit) -> str:
    """Write a figure with three digits in the unit that suits its size."""
    if figure is None:
        return "-"
    if unit == "/s":
        return f"{figure:,.0f}/s"
    if unit == "":
        return f"{figure:,.3g}" if figure < 1000 else f"{figure:,.0f}"
    scales = _TIME if unit == "s" else _SIZE
    scale, name = next(((s, n) for s, n in scales if abs(figure) >= s), scales[-1])
    return (
        f"{figure / scale:.3g} {name}" if figure / scale < 1000 else f"{figure / scale:,.0f} {name}"
    )


def budget(row: Row) -> str:
    """Write what a row aims at."""
    sign = "≤" if row.better == "lower" else "≥"
    parts = []
    if row.budget is not None:
        parts.append(f"{sign} {shown(row.budget, row.unit)}")
    if row.ratio_budget is not None:
        parts.append(f"≥ {row.ratio_budget:,g}x")
    return ", ".join(parts) or "-"


def ratio(row: Row) -> str:
    """Write how many times better than its peer a row is."""
    if row.ratio is None:
        return "-"
    return f"{row.ratio:,.3g}" if row.ratio < 1000 else f"{row.ratio:,.0f}"


def table(suite: str, rows: list[Row]) -> Table:
    """Lay the rows of a suite out as the budgets do."""
    laid_out = Table(title=suite, title_justify="left", title_style="bold")
    laid_out.add_column("what")
    for column in ("measured", "peer", "ratio", "budget"):
        laid_out.add_column(column, justify="right")
    laid_out.add_column("")
    for row in rows:
        peer = "-" if row.peer is None else f"{shown(row.peer_measured, row.unit)} {row.peer}"
        verdict = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[row.within_budget]
        what = f"{row.what}\n[dim]{row.note}[/]" if row.note else row.what
        figures = (shown(row.measured, row.unit), peer, ratio(row), budget(row))
        laid_out.add_row(what, *figures, verdict)
    return laid_out


def print_machine(console: Console, machine: dict[str, str]) -> None:
    """Print the machine line."""
    console.print(" · ".join(f"{key}: {value}" for key, value in machine.items()), style="dim")


def write_json(file: Path, machine: dict[str, str], rows: list[Row]) -> None:
    """Write everything measured, in base units."""
    figures = [
        asdict(row) | {"ratio": row.ratio, "within_budget": row.within_budget} for row in rows
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"machine": machine, "rows": figures}, indent=2) + "\n", "utf-8")
