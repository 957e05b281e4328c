"""The guides for authors, executed in the order of the page: files are written, commands run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from consoles import commands

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs" / "guides"
BUILT = ROOT / "build" / "components"
STEP = re.compile(
    r"^```(?:(?P<console>console)|\w+ file=(?P<file>\S+))\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
#: What a guide needs beside Python.
NEEDS = {"testing-components": [], "typed-hosts": [], "dependencies": ["cargo", "node"], "kits": []}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("guide", NEEDS)
def test_the_guide_does_what_it_says(guide, tmp_path):
    for program in NEEDS[guide]:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    for component in BUILT.glob("*.wasm"):
        (tmp_path / component.name).symlink_to(component)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, code in (("airssys", "from airssys.cli import main; main()"), ("python3", "")):
        command = programs / name
        start = f'{sys.executable} -c "{code}"' if code else sys.executable
        command.write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "AIRSSYS_STATE": str(tmp_path / "state"),
    }
    folder = tmp_path
    ran = 0
    for step in STEP.finditer((GUIDES / f"{guide}.md").read_text("utf-8")):
        if step["file"]:
            file = folder / step["file"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(step["text"], "utf-8")
            continue
        for line, expected in commands(step["text"]):
            if line.startswith("cd "):
                folder = (folder / line[3:]).resolve()
                assert folder.is_relative_to(tmp_path)
                continue
            done = subprocess.run(
                ["sh", "-c", line],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            assert done.stdout.startswith(expected), (line, done.stdout)
            ran += 1
    assert ran
