"""`make demo` keeps its promises: the whole story, with less load between its events."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_the_demo_tells_the_whole_story_and_no_call_fails():
    command = [sys.executable, "-W", "error", "-m", "examples.demo", "--steady", "0.2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    chapters = (
        r"promoted at 100%: \d+ calls, no more bad ones than tolerated",
        r"taken-back at 0%: error: \d+ of \d+ calls of the new revision were bad",
        r"rollback\(to=1\) recorded it, switched, and returned in",
        r"replaced in .*; each was told 200 times",
        r"its supervisor restarted it \(1\)",
        r"GET /loop: 504",
        r"revoked in .*, it reads no more",
        r"[\d,]+ calls, 0 failed but by the bad version",
    )
    assert [each for each in chapters if not re.search(each, done.stdout)] == []
