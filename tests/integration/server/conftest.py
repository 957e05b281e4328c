from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMPONENTS = Path(__file__).parents[3] / "build" / "components"
SERVE = [sys.executable, "-c", "from airssys.cli import main; main()", "serve", "--json"]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="session")
def guest():
    """The path of a built component of `components/`."""

    def path(name: str) -> Path:
        found = COMPONENTS / f"{name}.wasm"
        assert found.is_file(), f"{found} is missing; `make guests` builds it"
        return found

    return path


@pytest.fixture(scope="session")
def text_guest():
    """The path of a component in text format."""
    return lambda name: COMPONENTS.parents[1] / "components" / "wat" / f"{name}.wat"


class Served:
    """A server in a process of its own, which listens."""

    def __init__(self, process: subprocess.Popen[bytes], state: Path) -> None:
        self.process = process
        self.state = state
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == b"}\n":
                break
        assert lines, process.stderr.read().decode()
        found = json.loads(b"".join(lines))
        self.control, self.http = found["control"], found["http"]

    @property
    def address(self) -> str:
        return f"unix:{self.state}/control.sock"

    @property
    def socket(self) -> str:
        return f"{self.state}/control.sock"

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Signal it, and return its exit code and what it had to say."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=50)
        return self.process.returncode, errors.decode()


def starter(directory: Path):
    started = []

    def start(state: Path, *options: object, **environment: str) -> Served:
        process = subprocess.Popen(
            [*SERVE, "--state", str(state), *map(str, options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env={
                **os.environ,
                "HOME": str(directory),
                "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                **environment,
            },
        )
        started.append(process)
        return Served(process, state)

    def stop() -> None:
        for process in started:
            process.kill()
            process.communicate()

    return start, stop


@pytest.fixture
def serve(tmp_path):
    """Start a server on a state directory."""
    start, stop = starter(tmp_path)
    yield start
    stop()


@pytest.fixture
def served(serve, tmp_path):
    """A server of its own on an empty state directory."""
    return serve(tmp_path / "state")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for the tests of a module, which use different deployments."""
    directory = tmp_path_factory.mktemp("shared")
    start, stop = starter(directory)
    yield start(directory / "state")
    stop()
