from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import airssys.authoring
from airssys.authoring import build, new_project
from airssys.authoring.places import cache, locked

PACKAGE = Path(airssys.authoring.__file__).parent


def _recipe() -> str:
    """Hash everything that a new project's component is made from."""
    total = hashlib.sha256()
    for folder, _, files in sorted(os.walk(PACKAGE, followlinks=True)):
        for name in sorted(files):
            if not name.endswith((".pyc", ".lock")):
                total.update(name.encode() + Path(folder, name).read_bytes())
    return total.hexdigest()[:16]


@pytest.fixture(scope="session")
def _kept():
    """Where built projects are kept, by what they are made from; older ones make room."""
    home = cache() / "guests" / "projects"
    kept = home / _recipe()
    kept.mkdir(parents=True, exist_ok=True)
    for old in sorted(home.iterdir(), key=lambda each: each.stat().st_mtime)[:-4]:
        if old != kept:
            shutil.rmtree(old, ignore_errors=True)
    return kept


@pytest.fixture(scope="session")
def project(_kept, tmp_path_factory):
    """A copy of a new project that is built; `files` replace or add to those of its template."""

    def made(
        language: str, template: str = "function", files: dict[str, str] | None = None
    ) -> Path:
        files = files or {}
        key = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:8]
        folder = _kept / f"{template}-{language}-{key}"
        with locked(_kept, "another run of these tests"):
            if not (folder / "greeter" / "build" / "component.wasm").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fresh = new_project("greeter", language=language, template=template, into=folder)
                for name, text in files.items():
                    (fresh / name).write_text(text)
                build(fresh)
            copy = tmp_path_factory.mktemp("project") / "greeter"
            shutil.copytree(folder / "greeter", copy)  # with the times: it stays fresh
        return copy

    return made


@pytest.fixture
def airssys(tmp_path):
    """Run the command line, by default in an empty directory."""

    def run(*arguments: object, cwd: Path = tmp_path, **environment: str):
        return subprocess.run(
            [sys.executable, "-c", "from airssys.cli import main; main()", *map(str, arguments)],
            capture_output=True,
            cwd=cwd,
            timeout=300,
            check=False,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "AIRSSYS_STATE": str(tmp_path / "state"),
                **environment,
            },
        )

    return run
