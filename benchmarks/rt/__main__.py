"""`python -m benchmarks.rt [--json] [--quick]`: the table of `airssys.rt` against its peers."""

from __future__ import annotations

import argparse
import json
import platform
import sys

from rich.console import Console
from rich.table import Table

from benchmarks.rt.measure import measure_all


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--million", action="store_true", help="also with a million actors")
    options = parser.parse_args()
    rows = measure_all(scale=0.1 if options.quick else 1.0, million=options.million)
    machine = (
        f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"
    )
    if options.json:
        json.dump({"machine": machine, "rows": [row.as_dict() for row in rows]}, sys.stdout)
        sys.stdout.write("\n")
        return 0
    table = Table(title=f"airssys.rt on {machine}")
    for title in ("what", "measured", "peer", "peer measured", "ratio", "budget", ""):
        table.add_column(title, justify="left" if title in {"what", "peer"} else "right")
    for row in rows:
        table.add_row(
            row.what,
            f"{row.value:,.2f} {row.unit}",
            row.peer,
            "" if row.peer_value is None else f"{row.peer_value:,.2f} {row.unit}",
            "" if row.ratio is None else f"{row.ratio:.2f}x",
            row.budget,
            {True: "ok", False: "over", None: ""}[row.met],
        )
    Console().print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
