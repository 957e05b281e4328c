"""Installing from PyPI into folders of the user's cache, by uv or pip."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from typing import TYPE_CHECKING

from airssys.authoring.commands import run
from airssys.authoring.errors import BuildFailed, ToolchainMissing
from airssys.authoring.places import cache, locked, silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["install", "installed_tool", "pinned_version"]


def pinned_version(pins: Path) -> str:
    """Return the version of the one package that a file of requirements names."""
    found = re.match(r"[\w-]+==(\S+)", pins.read_text("utf-8"))
    assert found is not None  # noqa: S101 - the files are part of this package
    return found[1]


def installed_tool(pins: Path, name: str, say: Callable[[str], None] = silent) -> Path:
    """Install a tool unless it is there, and return the folder with its packages.

    Args:
        pins: A file of requirements that names the tool, its version and the hashes of its wheels.
        name: What its folder is called; another one for each version.
        say: Told what takes its time.

    Raises:
        ToolchainMissing: It could not be installed.
    """
    tools = cache() / "tools"
    home = tools / name
    ready = home / "ready"  # written last: what has it is whole
    if ready.exists():
        return home / "packages"
    with locked(tools, "another installation of tools", say):
        if not ready.exists():
            wanted = pins.read_text("utf-8").split()[0]
            say(f"installing {wanted} from PyPI (once)")
            shutil.rmtree(home, ignore_errors=True)
            words = ["--require-hashes", "--no-deps", "--requirement", str(pins)]
            try:
                install(words, home / "packages", pins.parent, wanted)
            except BuildFailed as error:
                missing = ToolchainMissing(
                    f"{wanted} could not be installed",
                    hint="it comes from PyPI once; look at the network: pip download " + wanted,
                )
                for note in getattr(error, "__notes__", ()):
                    missing.add_note(note)
                raise missing from error
            ready.touch()
    return home / "packages"


def install(words: list[str], target: Path, folder: Path, what: str) -> None:
    """Install wheels into a folder, which is removed where that fails.

    Args:
        words: What to install, as pip and uv take it.
        target: The folder.
        folder: Where the program runs.
        what: The same for people.

    Raises:
        ToolchainMissing: There is neither pip nor uv.
        BuildFailed: It could not be installed; the program's words are notes.
    """
    words = ["--quiet", "--only-binary", ":all:", "--target", str(target), *words]
    if uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", sys.executable, *words]
    elif importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "install", *words]
    else:
        raise ToolchainMissing(
            f"{what} needs pip or uv", hint="install one: python -m ensurepip, or pip install uv"
        )
    try:
        run(command, cwd=folder, failed=f"{what} could not be installed")
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
