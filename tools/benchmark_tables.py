"""Write the tables of the documents from the figures that `make bench` has left.

A table stands between `<!-- benchmarks: SUITE ... -->` and `<!-- end of benchmarks -->`; instead of
a suite one row can be named, as `wasm/fresh-instance`. The machine that was measured comes first.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.__main__ import RESULTS  # noqa: E402 - found by the line above
from benchmarks.report import budget, ratio, shown  # noqa: E402
from benchmarks.row import Row  # noqa: E402

DOCUMENTS = ("README.md", "docs/reference/benchmarks.md")
_TABLE = re.compile(r"(<!-- benchmarks: ([^>]*) -->\n).*?(<!-- end of benchmarks -->)", re.DOTALL)


def table(rows: list[Row]) -> str:
    """Return rows as a table of Markdown."""
    lines = ["| what | measured | peer | ratio | budget |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in rows:
        peer = "-" if row.peer is None else f"{shown(row.peer_measured, row.unit)} ({row.peer})"
        figures = (row.what, shown(row.measured, row.unit), peer, ratio(row), budget(row))
        lines.append(f"| {' | '.join(figures)} |")
    return "\n".join(lines)


def main() -> int:
    """Rewrite every table; 1 where a document has none or a figure is missing."""
    found = json.loads(RESULTS.read_text("utf-8"))
    measured = []
    for figures in found["rows"]:
        del figures["ratio"], figures["within_budget"]
        measured.append(Row(**figures))
    machine = ", ".join(f"{key} {value}" for key, value in found["machine"].items())

    def replace(match: re.Match[str]) -> str:
        wanted = match[2].split()
        rows = [row for row in measured if {row.key, row.key.split("/")[0]} & set(wanted)]
        if not rows:
            raise SystemExit(f"{RESULTS.name} has no figures of {match[2]}; run `make bench`")
        return f"{match[1]}Measured on {machine}.\n\n{table(rows)}\n{match[3]}"

    for name in DOCUMENTS:
        document = ROOT / name
        text, count = _TABLE.subn(replace, document.read_text("utf-8"))
        if not count:
            raise SystemExit(f"{name} has no place for a table")
        document.write_text(text, "utf-8")
        print(f"{name}: {count} tables")
    return 0


if __name__ == "__main__":
    sys.exit(main())
