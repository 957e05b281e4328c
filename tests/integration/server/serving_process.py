"""Servers in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

SERVE = [sys.executable, "-c", "from airssys.cli import main; main()", "serve", "--json"]


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
