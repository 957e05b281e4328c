"""`airssys dev`: what was saved is live, and what is broken leaves what was."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading

import pytest

pytestmark = pytest.mark.timeout(600)

PATIENCE = 300.0


class Dev:
    """A running `airssys dev` and what it says, line by line."""

    def __init__(self, process) -> None:
        self.process = process
        self._lines = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def says(self, text: str) -> str:
        """Wait for a line that contains `text`."""
        seen = []
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            seen.append(line)
            if text in line:
                return line
        raise AssertionError(f"it ended without saying {text!r}; it said {seen}")


@pytest.fixture
def dev(tmp_path):
    """Start `airssys dev`."""
    started = []

    def start(*arguments, cwd=tmp_path):
        process = subprocess.Popen(
            [sys.executable, "-c", "from airssys.cli import main; main()", "dev", *arguments],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "AIRSSYS_STATE": str(tmp_path / "state"),
            },
        )
        started.append(process)
        return Dev(process)

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_script_is_live_after_each_save_that_works(dev, airssys, tmp_path):
    file = tmp_path / "handler.py"
    file.write_text("def greet(name: str) -> str:\n    return f'Hello, {name}!'\n")
    running = dev(str(file), "--name", "acme/greeter")
    running.says("acme/greeter is at revision 1")
    file.write_text("def greet(name: str) -> str:\n    return f'Hi, {name}!\n")
    running.says("handler.py:2: SyntaxError")
    file.write_text("def greet(name: str) -> str:\n    return f'Hi, {name}!'\n")
    running.says("acme/greeter is at revision 2")
    file.unlink()
    file.write_text("def greet(name: str) -> str:\n    return f'Good day, {name}!'\n")
    running.says("acme/greeter is at revision 3")
    assert airssys("call", "acme/greeter", 'greet("Ada")').stdout == '"Good day, Ada!"\n'
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(timeout=60) == 130


@pytest.mark.skipif(shutil.which("cargo") is None, reason="needs cargo")
def test_a_project_whose_test_fails_is_not_deployed(dev, project):
    folder = project("rust")
    running = dev(cwd=folder)
    running.says("local/greeter is at revision 1")
    table = folder / "tests" / "greet.toml"
    text = table.read_text()
    table.write_text(text.replace("Hello", "Goodbye"))
    running.says("FAIL")
    running.says("not deployed: a test failed")
    source = folder / "src" / "lib.rs"
    source.write_text("no Rust\n")
    running.says("cargo could not build")
