"""A user who has nothing yet: an own home, own caches, and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What starts the command line.
AIRSSYS: Final = (sys.executable, "-c", "from airssys.cli import main; main()")
#: The word of the templates that an edit changes, and what it becomes.
BEFORE, AFTER = "Hello", "Good day"


def fresh(folder: Path) -> dict[str, str]:
    """Return an environment whose home and caches are in `folder`, where nothing is yet.

    Compilers are found where they are installed: they are what a language needs first.
    """
    toolchains = os.environ.get("RUSTUP_HOME") or str(Path.home() / ".rustup")
    return {
        **os.environ,
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_DATA_HOME": str(folder / "data"),
        "CARGO_HOME": str(folder / "cargo"),
        "RUSTUP_HOME": toolchains,
        "UV_CACHE_DIR": str(folder / "uv"),
        "PIP_CACHE_DIR": str(folder / "pip"),
        "npm_config_cache": str(folder / "npm"),
        "AIRSSYS_STATE": str(folder / "state"),
    }


def airssys(environment: Mapping[str, str], folder: Path, *arguments: str) -> str:
    """Run the command line and return what it prints.

    Raises:
        RuntimeError: It failed; the figures would say nothing.
    """
    done = subprocess.run(
        [*AIRSSYS, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"airssys {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def edit(project: Path) -> None:
    """Change what a new project answers, and what its tests expect."""
    sources = [each for each in project.glob("src/*") if each.is_file()]
    for file in (*project.glob("app.*"), *sources, *project.glob("tests/*")):
        if file.is_file():
            file.write_text(file.read_text("utf-8").replace(BEFORE, AFTER), "utf-8")
