"""The committed ratios, and the gate that holds them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.row import Row

FILE = Path(__file__).with_name("baseline.json")
TOLERATED = 0.75  # of the committed ratio; the rest is noise of shared machines


@dataclass(frozen=True, slots=True)
class Fall:
    """A ratio that fell by more than the tolerance, or a row that is no longer measured."""

    key: str
    committed: float
    measured: float | None

    def __str__(self) -> str:
        if self.measured is None:
            return f"{self.key}: in the baseline ({self.committed:.2f}) but no longer measured"
        return f"{self.key}: ratio {self.measured:.2f}, baseline {self.committed:.2f}"


def read(file: Path = FILE) -> dict[str, float]:
    """Read the committed ratios by row."""
    if not file.exists():
        return {}
    ratios = json.loads(file.read_text("utf-8"))
    return {str(key): float(ratio) for key, ratio in ratios.items()}


def falls(rows: Iterable[Row], suite: str, committed: dict[str, float]) -> list[Fall]:
    """Compare a suite's rows with the committed ratios."""
    measured = {row.key: row.ratio for row in rows}
    return [
        Fall(key, ratio, measured.get(key))
        for key, ratio in sorted(committed.items())
        if key.startswith(f"{suite}/") and (measured.get(key) or 0) < TOLERATED * ratio
    ]


def update(rows: Iterable[Row], file: Path = FILE) -> None:
    """Replace the ratios of the rows that were measured."""
    ratios = read(file)
    ratios |= {row.key: round(row.ratio, 3) for row in rows if row.ratio is not None}
    file.write_text(json.dumps(dict(sorted(ratios.items())), indent=2) + "\n", "utf-8")
