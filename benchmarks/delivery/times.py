"""How long the single steps take, alone: from bytes to live, the switch itself, the way back."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from functools import partial

from airssys.wasm import Host
from benchmarks.delivery.guests import adder
from benchmarks.row import Row
from benchmarks.wasm.guests import guest

#: A custom section that makes of a component another one, which does the same.
_MORE = b"\0\x05\x04more"


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
    content = guest("faults").read_bytes()
    deploys, rollbacks = [], []
    with tempfile.TemporaryDirectory() as state, Host.open_blocking(state) as host:
        deployment = host.deploy(content, name="bench/small")
        for number in range(rounds):
            other = content + _MORE * (number + 1)
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
    """Measure a Python component, in a state directory without anything compiled and again."""
    content = guest("greeter-python").read_bytes()
    with tempfile.TemporaryDirectory() as state, Host.open_blocking(state) as host:
        cold = _took(partial(host.deploy, content, name="bench/python0"))
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
