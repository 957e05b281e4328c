"""What a benchmark reports: one row of the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["s", "B", "/s", ""]


class UnavailableError(Exception):
    """Say what a suite needs and where to get it; the run goes on without the suite."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure, beside a peer's from the same run.

    Attributes:
        key: Names the row in the baseline, `<suite>/<row>`; stable.
        what: What was measured, in the words of the table.
        measured: The figure in `unit`.
        unit: Seconds, bytes, a rate per second, or a plain number.
        better: Whether a lower or a higher figure is the better one.
        peer: Who was measured beside it, if anyone.
        peer_measured: The peer's figure in the same unit.
        budget: The absolute figure aimed at; reported, never gated on.
        ratio_budget: The ratio aimed at.
        note: What a reader has to know to judge the figure.
    """

    key: str
    what: str
    measured: float
    unit: Unit
    better: Literal["lower", "higher"] = "lower"
    peer: str | None = None
    peer_measured: float | None = None
    budget: float | None = None
    ratio_budget: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer; above 1 is better. None without a peer."""
        if self.peer_measured is None:
            return None
        if self.better == "lower":
            return self.peer_measured / self.measured
        return self.measured / self.peer_measured

    @property
    def within_budget(self) -> bool | None:
        """Whether every budget of the row is met; None where it has none."""
        met = []
        if self.budget is not None:
            lower = self.better == "lower"
            met.append(self.measured <= self.budget if lower else self.measured >= self.budget)
        if self.ratio_budget is not None and self.ratio is not None:
            met.append(self.ratio >= self.ratio_budget)
        return all(met) if met else None
