"""`python -m benchmarks.rt`: this suite by itself, and with a million actors if asked to."""

from __future__ import annotations

import argparse
import asyncio
import sys

from rich.console import Console

from benchmarks.machine import machine
from benchmarks.report import print_machine, table
from benchmarks.rt.measure import measure, with_a_million


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rt", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--million", action="store_true", help="also with a million actors")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140)
    print_machine(console, machine())
    rows = list(measure(scale=0.1 if options.quick else 1.0))
    if options.million:
        rows += asyncio.run(with_a_million())
    console.print(table("rt", rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
