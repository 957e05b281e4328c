"""`tools/benchmark_tables.py`: the tables of the documents come from runs of the suites."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = ("README.md", "docs/reference/benchmarks.md")


def tool(tree: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(tree / "tools" / "benchmark_tables.py"), *map(str, files)]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


def copied(to: Path) -> Path:
    for name in (*PAGES, "tools/benchmark_tables.py"):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_text((ROOT / name).read_text("utf-8"), "utf-8")
    (to / "benchmarks").symlink_to(ROOT / "benchmarks")
    return to


def suites() -> set[str]:
    """Everything that the pages want to show."""
    text = "".join((ROOT / page).read_text("utf-8") for page in PAGES)
    return {
        name.split("/")[0]
        for names in re.findall(r"<!-- benchmarks: ([^>]*) -->", text)
        for name in names.split()
    }


def run_of(suite: str, folder: Path, figure: float) -> Path:
    row = {"key": f"{suite}/row", "what": f"the row of {suite}", "measured": figure, "unit": "s"}
    file = folder / f"{suite}.json"
    rows = [{**row, "ratio": None, "within_budget": None}]
    file.write_text(json.dumps({"machine": {"processor": f"of {suite}"}, "rows": rows}))
    return file


def test_every_suite_has_a_table_and_rows():
    packages = (ROOT / "benchmarks").glob("*/__init__.py")
    measured = {path.parent.name for path in packages if "def rows(" in path.read_text("utf-8")}
    assert suites() == measured


def test_tables_are_written_from_runs_of_one_suite_each(tmp_path):
    tree = copied(tmp_path / "tree")
    files = [run_of(suite, tmp_path, 0.25) for suite in suites()]
    done = tool(tree, *files)
    assert done.returncode == 0, done.stderr
    page = (tree / PAGES[1]).read_text("utf-8")
    assert "| the row of delivery | 250 ms | - | - | - |" in page
    assert "Measured on processor of http." in page
    assert "Measured on processor of osl; processor of rt." in page or (
        "Measured on processor of rt; processor of osl." in page
    )


def test_a_suite_that_was_not_measured_changes_nothing(tmp_path):
    tree = copied(tmp_path / "tree")
    files = [run_of(suite, tmp_path, 0.25) for suite in suites() - {"http"}]
    done = tool(tree, *files)
    assert done.returncode == 1
    assert "no figures of http; run `make bench`" in done.stderr
    assert (tree / PAGES[0]).read_text("utf-8") == (ROOT / PAGES[0]).read_text("utf-8")
