"""Run a program that makes accesses, kill it, and compare what it said with what it recorded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from airssys.osl import read_records

LOAD = Path(__file__).with_name("load_and_be_killed.py")


def killed_run(directory: Path, after: int) -> tuple[int, int]:
    """Run accesses in a program that is killed; return attempts acknowledged and recorded."""
    with subprocess.Popen(
        [sys.executable, str(LOAD), str(directory)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        acknowledged = 0
        for line in process.stdout:
            acknowledged = int(line)
            if acknowledged >= after:
                break
        process.send_signal(signal.SIGKILL)
        for line in process.stdout:
            if line.endswith(b"\n"):
                acknowledged = int(line)
    recorded = sum(
        record.count or 1
        for record in read_records(directory / "audit")
        if record.decision in {"allow", "deny"}
    )
    return acknowledged, recorded
