"""How long `airssys rollback` takes from every state, the start of its process included."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from airssys.wasm import Host
from benchmarks.delivery.guests import STATES, starter

_AIRSSYS = (sys.executable, "-c", "from airssys.cli import main; main()")
#: As where it is installed: the bytecode of what is imported is kept there.
_ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}


class Took(NamedTuple):
    """What a command took.

    Attributes:
        seconds: From its start to its end.
        processor: Seconds of processor time.
    """

    seconds: float
    processor: float


def beside_a_server(rounds):
    """Return the medians of what it took from each state, by its name, while a server runs."""
    found = {state.__name__: [] for state in STATES}
    with tempfile.TemporaryDirectory() as directory:
        start, stop = starter(Path(directory))
        try:
            served = start(Path(directory) / "state")
            with Host.connect_blocking(served.address) as host:
                for number in range(rounds):
                    for state in STATES:
                        name = f"bench/{state.__name__.replace('_', '-')}-{number}"
                        options, expected = state(host, name)
                        took, live = _rollback(served.state, name, options)
                        _check(name, live, expected)
                        found[state.__name__].append(took)
                host.freeze(why="what is frozen stays as it is")
                found["frozen (refused)"] = [_refused(served.state, name) for _ in range(rounds)]
        finally:
            stop()
    return _medians(found)


def without_a_server(rounds):
    """Return the same where the server was killed in each state: the command opens it alone."""
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        start, stop = starter(Path(directory))
        try:
            served = start(Path(directory) / "state")
            with Host.connect_blocking(served.address) as host:
                made = {
                    state.__name__: (f"bench/{state.__name__.replace('_', '-')}", state)
                    for state in STATES
                }
                made = {each: (name, *state(host, name)) for each, (name, state) in made.items()}
            served.end(signal.SIGKILL)
        finally:
            stop()
        for state, (name, options, expected) in made.items():
            found[state] = []
            for _ in range(rounds):
                copy = Path(directory) / "copy"
                shutil.copytree(served.state, copy, ignore=shutil.ignore_patterns("*.sock"))
                took, live = _rollback(copy, name, options)
                _check(name, live, expected)
                found[state].append(took)
                shutil.rmtree(copy)
        with Host.open_blocking(served.state) as host:
            host.freeze(why="what is frozen stays as it is")
        found["frozen (refused)"] = [_refused(served.state, name) for _ in range(rounds)]
    return _medians(found)


def _rollback(state, name, options):
    """Run the command; return what it took, and the revision that it says is live."""
    took, done = _timed("rollback", name, *options, "--json", "--state", str(state))
    if done.returncode:
        raise RuntimeError(f"airssys rollback {name}: {done.stderr}")
    return took, json.loads(done.stdout)["live"]["number"]


def _refused(state, name):
    took, done = _timed("rollback", name, "--json", "--state", str(state))
    if done.returncode != 1 or json.loads(done.stderr)["error"]["code"] != "deployment-locked":
        raise RuntimeError(f"airssys rollback {name} was not refused: {done.stderr}")
    return took


def _timed(*arguments):
    before, began = _processor(), time.perf_counter()
    done = subprocess.run(
        [*_AIRSSYS, *arguments], check=False, capture_output=True, text=True, env=_ENVIRONMENT
    )
    return Took(time.perf_counter() - began, _processor() - before), done


def _processor():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _check(name, live, expected):
    if live != expected:
        raise RuntimeError(f"{name} is at revision {live}, not {expected}")


def _medians(found):
    return {
        state: Took(*(statistics.median(column) for column in zip(*times, strict=True)))
        for state, times in found.items()
    }
