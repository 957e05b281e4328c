"""Kill a host whose guests count what they attempt, and compare that with what it recorded."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from airssys._core import AuditLog
from airssys.osl import read_records

LOAD = Path(__file__).with_name("guests_under_load.py")


class Books(NamedTuple):
    """What one run came to."""

    attempted: int
    recorded: int
    #: Of those recorded, the ones that are in a count of another record.
    counted: int
    guests: int

    @property
    def balanced(self) -> bool:
        """Whether nothing is missing but the attempts that a guest was in when it was killed."""
        return self.recorded <= self.attempted <= self.recorded + self.guests


def killed_run(folder: Path, seed: int, after: int) -> Books:
    """Run guests until they have made `after` attempts together, then kill their host."""
    with subprocess.Popen(
        [sys.executable, str(LOAD), str(folder), str(seed)],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(LOAD.parent), *sys.path])},
    ) as process:
        _wait(process, folder / "data", after)
        process.kill()
    counts = list((folder / "data").glob("counts*"))
    attempted = sum(int.from_bytes(each.read_bytes(), "little") for each in counts)
    # Opening the log again writes down what an earlier process had counted and not written.
    AuditLog(folder / "audit").close()
    recorded = counted = 0
    for record in read_records(folder / "audit"):
        if not record.operation.startswith("filesystem") or "/counts" in record.target:
            continue
        recorded += record.count or 1
        counted += record.count
    return Books(attempted, recorded, counted, len(counts))


def _wait(process: subprocess.Popen[bytes], data: Path, after: int) -> None:
    """Look at the counts of the guests, which are in memory that is shared with them."""
    maps: list[mmap.mmap] = []
    made, end = -1, 0.0
    while (now := sum(int.from_bytes(each[:8], "little") for each in maps)) < after:
        if now != made:
            # However slow the machine is: only standing still is an error.
            made, end = now, time.monotonic() + 60
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            assert process.stderr is not None
            said = process.stderr.read().decode()
            raise AssertionError(f"{made} of {after} attempts, then nothing more: {said}")
        if not maps:
            files = [each for each in data.glob("counts*") if each.stat().st_size == 8]
            if len(files) == 3:
                for each in files:
                    with each.open("rb") as file:
                        maps.append(mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ))
        time.sleep(0.001)
