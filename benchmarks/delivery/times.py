"""How long the single steps take, alone: from bytes to live, the switch itself, the way back."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial

from airssys.wasm import Host
from benchmarks.delivery.guests import adder
from benchmarks.row import Row
from benchmarks.wasm.guests import guest

#: Deploys a file in a process whose cache of compiled code is empty, and says what that took.
_COLD = """
import sys, time
from pathlib import Path
from airssys.wasm import Host
content = Path(sys.argv[1]).read_bytes()
with Host.open_blocking(sys.argv[2]) as host:
    began = time.perf_counter()
    host.deploy(content, name="bench/python")
    print(time.perf_counter() - began)
"""


def rows(seconds):
    """Measure each as often as the time allows, and tell of the median."""
    yield from _switches(round(100 * seconds) + 2)
    yield from _small(round(20 * seconds) + 1)
    yield from _python(round(5 * seconds) + 1)


def _switches(rounds):
    """Measure what a caller sees: from the last answer of the old to the first of the new."""
    gaps = []
    with tempfile.TemporaryDirectory() as state, Host.open_blocking(state) as host:
        deployment = host.deploy(adder(1), name="bench/calc", lifetime="pooled")
        deployment.deploy(adder(2))
        seen, over = _Seen(deployment), threading.Event()
        caller = threading.Thread(target=seen.look, args=(over,))
        caller.start()
        try:
            for number in range(rounds):
                before = len(seen.changes)
                deployment.rollback(1 + number % 2)
                while len(seen.changes) == before:
                    time.sleep(0.001)
        finally:
            over.set()
            caller.join()
        gaps = [new - old for old, new in seen.changes]
    yield Row(
        key="delivery/switch",
        what="switch: from the last answer of the old revision to the first of the new",
        measured=statistics.median(gaps),
        unit="s",
        budget=1e-3,
        note=f"{len(gaps)} switches, one caller on another thread; a call is part of it",
    )


class _Seen:
    """Calls a deployment without a pause, and keeps when its version changed."""

    def __init__(self, deployment):
        self.deployment = deployment
        self.changes = []

    def look(self, over):
        version, last = self.deployment.call("version"), time.perf_counter()
        while not over.is_set():
            found, now = self.deployment.call("version"), time.perf_counter()
            if found != version:
                self.changes.append((last, now))
                version = found
            last = now


def _small(rounds):
    """Measure a Rust component of some 100 KB, as bytes that no cache has yet."""
    content = guest("http-faults").read_bytes()
    deploys, rollbacks = [], []
    with tempfile.TemporaryDirectory() as state, Host.open_blocking(state) as host:
        deployment = host.deploy(content, name="bench/small")
        for _ in range(rounds):
            # A section of its own makes it another one, which does the same and no cache knows.
            other = content + b"\0\x0d\x04more" + os.urandom(8)
            deploys.append(_took(partial(deployment.deploy, other)))
            rollbacks.append(_took(deployment.rollback))
    yield Row(
        key="delivery/deploy-small",
        what=f"deploy of a Rust component of {len(content) >> 10} KiB from bytes, compiled anew",
        measured=statistics.median(deploys),
        unit="s",
        budget=0.1,
    )
    yield Row(
        key="delivery/rollback-kept",
        what="rollback to a kept revision, recorded durably",
        measured=statistics.median(rollbacks),
        unit="s",
        budget=0.01,
    )


def _python(rounds):
    """Measure a Python component, by a user that has nothing compiled, and again."""
    path = guest("greeter-python")
    content = path.read_bytes()
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", _COLD, str(path), f"{home}/state"],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "XDG_CACHE_HOME": home},
        )
    cold = float(done.stdout)
    with tempfile.TemporaryDirectory() as state, Host.open_blocking(state) as host:
        host.deploy(content, name="bench/python0")
        cached = [
            _took(partial(host.deploy, content, name=f"bench/python{number}"))
            for number in range(1, rounds + 1)
        ]
    size = f"{len(content) / 1e6:.0f} MB"
    for key, what, measured, budget in (
        ("cold", "compiled anew", cold, 10.0),
        ("cached", "compiled before", statistics.median(cached), 0.05),
    ):
        yield Row(
            key=f"delivery/deploy-python-{key}",
            what=f"deploy of a Python component of {size}, {what}",
            measured=measured,
            unit="s",
            budget=budget,
        )


def _took(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
