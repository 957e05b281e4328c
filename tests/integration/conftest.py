"""What tests with real components start from."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from airssys.wasm import Host

COMPONENTS = Path(__file__).parents[2] / "build" / "components"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture(scope="session")
def guest():
    """The path of a built component of `components/`."""

    def path(name: str) -> Path:
        found = COMPONENTS / f"{name}.wasm"
        assert found.is_file(), f"{found} is missing; `make guests` builds it"
        return found

    return path


@pytest.fixture
def host(state):
    """An open host whose methods block."""
    with Host.open_blocking(state) as opened:
        yield opened


@pytest.fixture
def python():
    """Start Python on a piece of source text, with the package as this process has it."""
    started = []

    def start(
        source: str, *arguments: object, command=(), env_cache: Path | None = None, **options
    ) -> subprocess.Popen[str]:
        cache = {} if env_cache is None else {"XDG_CACHE_HOME": str(env_cache)}
        process = subprocess.Popen(
            [*command, sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **cache, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
