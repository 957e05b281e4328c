"""A little of the races for what guests may reach; `make soak` runs thousands of rounds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.wasm.ways_in import NAMESPACE

ROOT = Path(__file__).parents[3]


def test_a_little_of_the_races() -> None:
    if subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine gives no mount namespace, which a hosts file of our own needs")
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.wasm.ways_in", "--rounds", "60", "--seed", "3"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=50,
    )
    told = json.loads(ran.stdout)
    assert sum(told["rebinding"]["sockets"].values()) == 60
    assert sum(told["rebinding"]["requests"].values()) == 60
    assert sum(told["revocation"]["requests"].values()) == 60
