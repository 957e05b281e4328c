from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from airssys.wasm import Host

COMPONENTS = Path(__file__).parents[3] / "build" / "components"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture(scope="session")
def key_value():
    """The guest that uses storage in every way."""
    found = COMPONENTS / "key-value.wasm"
    assert found.is_file(), f"{found} is missing; `make guests` builds it"
    return found


@pytest.fixture
def deployed(state, key_value):
    """A blocking host with the guest deployed as `acme/store`."""
    with Host.open_blocking(state) as host:
        yield host.deploy(key_value, name="acme/store", lifetime="pooled")


@pytest.fixture
def python():
    """Start Python on a piece of source text, with the package as this process has it."""
    started = []

    def start(source: str, *arguments: object, command=(), **options) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*command, sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)],
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
