"""Write the tables of the documents from the figures that `make bench` has left.

Usage: `python tools/benchmark_tables.py [FILE]...`. Several files, of runs of one suite each, are
read one after the other; a row that is in two is the later one's.

A table stands between `<!-- benchmarks: SUITE ... -->` and `<!-- end of benchmarks -->`; instead of
a suite one row can be named, as `wasm/fresh-instance`. The machine that was measured comes first.
"""

from __future__ import annotations

import argparse
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


def measured(files: list[Path]) -> dict[str, tuple[Row, str]]:
    """Read runs; returns each row with the machine it was measured on, by its key."""
    found: dict[str, tuple[Row, str]] = {}
    for file in files:
        run = json.loads(file.read_text("utf-8"))
        machine = ", ".join(f"{key} {value}" for key, value in run["machine"].items())
        for figures in run["rows"]:
            del figures["ratio"], figures["within_budget"]
            row = Row(**figures)
            found[row.key] = (row, machine)
    return found


def rewritten(text: str, found: dict[str, tuple[Row, str]]) -> tuple[str, int]:
    """Return a document with its tables, and how many there are.

    Raises:
        SystemExit: Nothing of what a table wants was measured.
    """

    def replace(match: re.Match[str]) -> str:
        wanted = set(match[2].split())
        rows = [pair for key, pair in found.items() if {key, key.split("/")[0]} & wanted]
        if not rows:
            raise SystemExit(f"no figures of {match[2].strip()}; run `make bench`")
        machines = "; ".join(dict.fromkeys(machine for _, machine in rows))
        shown = table([row for row, _ in rows])
        return f"{match[1]}Measured on {machines}.\n\n{shown}\n{match[3]}"

    return _TABLE.subn(replace, text)


def main() -> int:
    """Rewrite every table; ends with what is missing where a figure is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, default=[RESULTS], metavar="FILE")
    found = measured(parser.parse_args().files)
    texts = {}
    for name in DOCUMENTS:
        texts[name], count = rewritten((ROOT / name).read_text("utf-8"), found)
        if not count:
            raise SystemExit(f"{name} has no place for a table")
        print(f"{name}: {count} tables")
    for name, text in texts.items():  # all or none
        (ROOT / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
