"""The tutorials of first components, executed: every command, every file, every answer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from consoles import commands

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NEEDS = {"python": "python3", "rust": "cargo", "javascript": "node", "c": "python3"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("language", NEEDS)
def test_the_tutorial_does_what_it_says(language, tmp_path):
    if shutil.which(NEEDS[language]) is None:
        pytest.skip(f"{language} needs {NEEDS[language]}")
    text = (TUTORIALS / f"first-component-{language}.md").read_text("utf-8")
    programs = tmp_path / "programs"
    programs.mkdir()
    command = programs / "airssys"
    command.write_text(f"#!{sys.executable}\nfrom airssys.cli import main\nmain()\n")
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "AIRSSYS_STATE": str(tmp_path / "state"),
    }
    folder = tmp_path
    for number, block in enumerate(CONSOLE.findall(text)):
        if number == 3:  # after the section that says what to change
            for file in (folder / name for name, _ in FILE.findall(text)):
                file.write_text(file.read_text().replace("Hello", "Good day"))
            for file in (folder / "tests").iterdir():
                if file.is_file():
                    file.write_text(file.read_text().replace("Hello", "Good day"))
        for line, expected in commands(block):
            if line.startswith("cd "):
                folder = folder / line[3:]
                for name, shown in FILE.findall(text):
                    assert (folder / name).read_text() == shown
                assert "```wit\n" + (folder / "wit" / "world.wit").read_text() + "```" in text
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
            if expected:
                assert done.stdout.startswith(expected), line
