"""200 different scripts in one process: `python -m benchmarks.authoring.scripts [COUNT]`.

Each has a live instance. Some raise, loop or eat memory all the while; the others must answer, and
answer right. Reported: memory per script, and the time from new source to its first answer.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from airssys.authoring import script
from airssys.wasm import Host, LimitExceeded, Limits, StorageSettings
from airssys.wasm.scripts import ScriptError

_SOURCE = """
import json, re, datetime

TABLE = {{number: number * {number} for number in range(200)}}


def answer(text: str) -> dict:
    return {{"who": {number}, "text": text[::-1], "entry": TABLE[7]}}
"""
_BAD = """
def crash():
    return [][1]


def loop():
    while True:
        pass


def eat():
    return "x" * (1 << 31)
"""
_ROUNDS = 3


def _resident() -> int:
    """Return bytes of memory of this process, with its share of pages that several mappings have.

    Instances share what they only read of the snapshot, which a plain resident size counts in each.
    """
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("/proc/self/smaps_rollup has no Pss")


def main() -> None:
    """Run the scripts and print what they took."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        storage = StorageSettings(in_memory=True)
        with Host.open_blocking(place / "state", storage=storage) as host:
            _run(host, place, count)


def _run(host, place: Path, count: int) -> None:  # type: ignore[no-untyped-def]  # a benchmark
    def made(name: str, source: str) -> bytes:
        file = place / f"{name}.py"
        file.write_text(source, "utf-8")
        return script(file)

    warm = host.deploy(made("warm", _SOURCE.format(number=0)), name="acme/warm")
    warm.call("answer", "warm")
    quick = Limits(cpu_per_call=0.1)
    bad = host.deploy(made("bad", _BAD), name="acme/bad", limits=quick)
    before, first, good = _resident(), [], []
    contents = [made(f"s{number}", _SOURCE.format(number=number)) for number in range(count)]
    for number, content in enumerate(contents):
        began = time.perf_counter()
        one = host.deploy(content, name=f"acme/script-{number}", lifetime="pooled", instances=1)
        found = one.call("answer", "first")
        first.append(time.perf_counter() - began)
        _check(found, number, "first")
        good.append(one)
    held = _resident() - before
    ends: dict[str, int] = {}
    for turn in range(_ROUNDS):
        for number, one in enumerate(good):
            _check(one.call("answer", f"turn {turn}"), number, f"turn {turn}")
            if number % 10 == 0:
                name = ("crash", "loop", "eat")[number // 10 % 3]
                try:
                    bad.call(name)
                except (ScriptError, LimitExceeded) as error:
                    ends[type(error).__name__] = ends.get(type(error).__name__, 0) + 1
    grown = _resident() - before - held
    sys.stdout.write(
        f"{count} live scripts: {held / count / 1024:.0f} KiB each; "
        f"{grown / 1024:.0f} KiB more after {_ROUNDS * count} calls; bad ends: {ends}\n"
        f"new source to first answer, deployed durably: median "
        f"{statistics.median(first) * 1000:.1f} ms, worst {max(first) * 1000:.1f} ms\n"
    )


def _check(found: object, number: int, text: str) -> None:
    wanted = {"who": number, "text": text[::-1], "entry": 7 * number}
    if found != wanted:
        raise SystemExit(f"script {number} answered {found}, expected {wanted}")


if __name__ == "__main__":
    main()
