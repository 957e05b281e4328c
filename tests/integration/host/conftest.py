from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def python():
    """Start Python on a piece of source text, with the package as this process has it."""
    started = []

    def start(source: str, *arguments: object, **options) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
