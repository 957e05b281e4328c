"""The examples run as their authors say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples" / "osl"
EXPECTED = {
    "safe_file_sorter.py": [
        "kept keep-this.txt: keep what is marked",
        "kept trick.pdf: default-deny",
        "moved photo.JPG to sorted/jpg",
        "3 moved, 2 kept, 2 refusals on record",
    ],
    "build_runner.py": ["no key", "no network", "built 6 bytes", "exit 0, confined by abi"],
    "process_supervisor.py": [
        "worker 1: try 1 fails",
        "worker 2: try 2 fails",
        "worker 3: ready",
        "worker 3: worker ends",
        "started 3 times, 0 left",
    ],
    "audited_backup.py": [
        "skipped signing.key: never the keys",
        "filesystem.read allow: 3",
        "copied a.txt, b.txt, sub/c.txt; the log of",
        "records is unbroken",
    ],
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_example(name):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line in EXPECTED[name]:
        assert line in done.stdout


def test_every_example_is_tested():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(EXPECTED)
