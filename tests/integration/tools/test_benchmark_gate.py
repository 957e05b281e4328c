"""`python -m benchmarks` on a suite whose figures are known."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
SUITE = """
import os
from benchmarks.row import Row, UnavailableError

def rows(seconds):
    if "PEER" not in os.environ:
        raise UnavailableError("the peer is not installed")
    peer = float(os.environ["PEER"])
    yield Row("fake/first", "first", 1.0, "s", peer="peer", peer_measured=peer)
    if "ONLY_FIRST" not in os.environ:
        yield Row("fake/second", "second", 8.0, "/s", "higher", peer="peer", peer_measured=2.0)
    yield Row("fake/alone", "no peer", 1.0, "B")
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copytree(BENCHMARKS, tmp_path / "benchmarks", ignore=lambda *_: ["baseline.json"])
    for folder in (tmp_path / "benchmarks").iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    (tmp_path / "benchmarks" / "fake").mkdir()
    (tmp_path / "benchmarks" / "fake" / "__init__.py").write_text(SUITE)
    return tmp_path


def run(tree: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    merged = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"} | environment
    return subprocess.run(
        command, cwd=tree, env=merged, capture_output=True, text=True, check=False
    )


def test_a_ratio_may_fall_by_a_quarter_but_not_more(tree: Path) -> None:
    assert run(tree, "--update-baseline", PEER="10").returncode == 0
    committed = json.loads((tree / "benchmarks" / "baseline.json").read_text())
    assert committed == {"fake/first": 10.0, "fake/second": 4.0}
    assert run(tree, PEER="7.6").returncode == 0
    fallen = run(tree, PEER="7.4")
    assert fallen.returncode == 1
    assert "measuring once more" in fallen.stdout
    assert "fell: fake/first: ratio 7.40, baseline 10.00" in fallen.stdout
    assert "fake/second:" not in fallen.stdout


def test_a_row_that_is_gone_fails(tree: Path) -> None:
    run(tree, "--update-baseline", PEER="10")
    gone = run(tree, PEER="10", ONLY_FIRST="1")
    assert gone.returncode == 1
    assert "fake/second: in the baseline (4.00) but no longer measured" in gone.stdout


def test_a_suite_without_its_peer_is_left_out_and_said_so(tree: Path) -> None:
    left_out = run(tree)
    assert left_out.returncode == 0
    assert "fake: left out: the peer is not installed" in left_out.stdout


def test_figures_are_written_as_json_in_base_units(tree: Path) -> None:
    run(tree, "--json", "out/figures.json", PEER="10")
    figures = json.loads((tree / "out" / "figures.json").read_text())
    assert figures["machine"]["python"]
    assert figures["rows"][1]["key"] == "fake/second"
    assert figures["rows"][1]["ratio"] == 4.0
    assert figures["rows"][2]["ratio"] is None
