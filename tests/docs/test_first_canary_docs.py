"""The tutorial of the first canary, executed: every command, every file, every answer."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "first-canary.md"
BLOCK = re.compile(r"^```(console|\w+ file=\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BETWEEN = re.compile(r"(?=^\$ )", re.MULTILINE)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def pattern(expected):
    """What stands for `…` is not known before; such a line may stand for several."""
    lines = [
        r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"
        for line in expected.splitlines()
    ]
    return re.compile("".join(lines))


class Shell:
    """Runs the commands of a page one after the other, as a reader would."""

    def __init__(self, folder):
        self.folder = folder
        self.behind = []
        programs = folder / "programs"
        programs.mkdir()
        (programs / "airssys").write_text(
            f"#!{sys.executable}\nfrom airssys.cli import main\nmain()\n"
        )
        (programs / "airssys").chmod(0o755)
        (programs / "python").symlink_to(sys.executable)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }

    def run(self, command, expected):
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.environment[name] = value
        elif command.endswith(" &"):
            self.start(command.removesuffix(" &"))
        else:
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert done.returncode == 0, (command, done.stdout)
            assert pattern(expected).match(f"{done.stdout}\n"), (command, done.stdout)

    def start(self, command):
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=self.folder,
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.behind.append(process)
        if command.startswith("airssys serve"):
            for line in process.stderr:
                if line.startswith("taking HTTP requests"):
                    return
            raise AssertionError("the server did not start")

    def end(self):
        for process in self.behind:
            process.terminate()
        for process in reversed(self.behind):
            process.communicate(timeout=60)


@pytest.mark.timeout(300)
def test_the_tutorial_does_what_it_says(tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("it needs curl")
    text = PAGE.read_text("utf-8").replace("127.0.0.1:8080", f"127.0.0.1:{free_port()}")
    shell = Shell(tmp_path)
    ran = 0
    try:
        for kind, block in BLOCK.findall(text):
            if kind != "console":
                (tmp_path / kind.partition("=")[2]).write_text(block)
                continue
            for part in filter(None, BETWEEN.split(block)):
                command, _, expected = part.partition("\n")
                shell.run(command.removeprefix("$ "), expected)
                ran += 1
    finally:
        shell.end()
    assert ran > 12
