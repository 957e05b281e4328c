from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path  # noqa: TC003 - fixtures are looked at

import pytest

from airssys.authoring import build, new_project


@pytest.fixture
def project(tmp_path):
    """A new project that is built; what was built before is taken from the user's cache."""
    return lambda language, template="function", files=None: built_project(
        tmp_path / "projects", language, template, files
    )


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory):
    """As `project`, for tests of a module that leave it as it is."""
    return lambda language, template="function", files=None: built_project(
        tmp_path_factory.mktemp("projects"), language, template, files
    )


def built_project(into: Path, language: str, template: str, files: dict[str, str] | None) -> Path:
    """Make a project with these files in the place of the template's, and build it."""
    folder = new_project("greeter", language=language, template=template, into=into)
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    build(folder)
    return folder


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
