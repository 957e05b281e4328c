"""`airssys serve` in a process of its own, as anybody would run it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

AIRSSYS: Final = (sys.executable, "-c", "from airssys.cli import main; main()")
ROUTES: Final = (
    "/=demo/site",
    "/calc=demo/calculator:functions",
    "/status=demo/faults",
    "/trap=demo/faults",
    "/loop=demo/faults",
)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens.

    Attributes:
        state: Its state directory.
        control: Where other processes reach it.
        http: Where requests from outside come in.
        process: Its number.
    """

    state: Path
    control: str
    http: str
    process: int

    def memory(self) -> int:
        """Return the bytes of memory that it has of the machine now."""
        status = Path(f"/proc/{self.process}/status").read_text("utf-8")
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def run(self, *words: str) -> str:
        """Run a command of `airssys` on it; return what it printed."""
        command = [*AIRSSYS, *words, "--state", str(self.state)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"error: airssys {' '.join(words)}: {done.stderr}")
        return done.stdout


@contextmanager
def serving(state: Path) -> Iterator[Server]:
    """Serve a state directory while the body runs, then tell the server to end."""
    command = [*AIRSSYS, "serve", "--json", "--state", str(state), "--drain", "5"]
    command += ["--http", "127.0.0.1:0", *(word for each in ROUTES for word in ("--route", each))]
    log = state.parent / "server.log"  # guests fail on purpose, and the server tells of it
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        said = ""
        for line in process.stdout:  # with --json it says when it listens, and where
            said += line
            if line == "}\n":
                break
        else:
            raise SystemExit(f"error: the server did not start: {log.read_text()}")
        found = json.loads(said)
        try:
            yield Server(state, found["control"][0], found["http"][0], process.pid)
        finally:
            process.terminate()
            code = process.wait()
    if code:
        raise SystemExit(f"error: the server ended with {code}")
