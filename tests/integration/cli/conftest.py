from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airssys.cli import main


@pytest.fixture
def airssys(tmp_path):
    """Run the command line in an empty directory, with no configuration but what is given."""
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "XDG_CACHE_HOME") if name in os.environ}
    kept.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))

    def run(*arguments: object, input: bytes = b"", **environment: str):  # noqa: A002
        return subprocess.run(
            [sys.executable, "-c", "from airssys.cli import main; main()", *map(str, arguments)],
            input=input,
            capture_output=True,
            cwd=work,
            timeout=60,
            check=False,
            env={
                **kept,
                "HOME": str(home),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                **environment,
            },
        )

    run.work = work
    run.home = home
    return run


@pytest.fixture
def here(airssys, monkeypatch, capsysbinary):
    """Run the command line in this process, which is much faster; as `airssys` otherwise."""
    monkeypatch.chdir(airssys.work)
    cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    monkeypatch.setenv("HOME", str(airssys.home))

    def run(*arguments: object):
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsysbinary.readouterr()
        return subprocess.CompletedProcess(arguments, ended.value.code, printed.out, printed.err)

    run.work = airssys.work
    return run
