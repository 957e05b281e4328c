"""Run the benchmark suites, print their tables and hold the ratios to the baseline."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import baseline
from benchmarks.machine import machine
from benchmarks.report import print_machine, table, write_json
from benchmarks.row import Row, UnavailableError

HERE = Path(__file__).parent
RESULTS = HERE.parent / "build" / "benchmarks.json"


def suites() -> list[str]:
    """List the packages beside this file."""
    return sorted(path.parent.name for path in HERE.glob("*/__init__.py"))


def measure(suite: str, seconds: float, console: Console) -> list[Row]:
    """Run one suite, naming each row as it is finished."""
    module = importlib.import_module(f"benchmarks.{suite}")
    if not hasattr(module, "rows"):
        raise UnavailableError(f"it has no rows(seconds); try python -m benchmarks.{suite}")
    rows = []
    with console.status(f"{suite}: measuring") as status:
        for row in module.rows(seconds):
            rows.append(row)
            status.update(f"{suite}: measured {row.what}")
    return rows


def main() -> int:
    """Run the command line; 1 when a ratio fell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--suite", action="append", choices=suites(), help="only this one")
    parser.add_argument(
        "--quick", action="store_true", help="0.2 s a row: for a look, not a figure"
    )
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help="where to write")
    parser.add_argument("--update-baseline", action="store_true", help="commit to these ratios")
    arguments = parser.parse_args()
    seconds = 0.2 if arguments.quick else 1.0
    # Wide enough for the tables where nobody's window says otherwise.
    console = Console(width=None if sys.stdout.isatty() else 140)
    committed = baseline.read()
    described = machine()
    print_machine(console, described)
    everything: list[Row] = []
    fallen: list[baseline.Fall] = []
    for suite in arguments.suite or suites():
        try:
            rows = measure(suite, seconds, console)
        except UnavailableError as missing:
            console.print(f"{suite}: left out: {missing}", style="yellow")
            continue
        console.print(table(suite, rows))
        falls = [] if arguments.update_baseline else baseline.falls(rows, suite, committed)
        if falls:
            console.print(f"{suite}: {len(falls)} below the baseline; measuring once more")
            again = measure(suite, seconds, console)
            console.print(table(f"{suite}, again", again))
            twice = {fall.key for fall in baseline.falls(again, suite, committed)}
            falls = [fall for fall in falls if fall.key in twice]
        fallen += falls
        everything += rows
    write_json(arguments.json, described, everything)
    if arguments.update_baseline:
        baseline.update(everything)
    for fall in fallen:
        console.print(f"fell: {fall}", style="red")
    return 1 if fallen else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("benchmarks: interrupted", file=sys.stderr)
        sys.exit(130)
