"""Building JavaScript by componentize-qjs, which npm installs into the user's cache."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.authoring.commands import run
from airssys.authoring.errors import BuildFailed, ToolchainMissing
from airssys.authoring.places import cache, locked, scratch, silent

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["build", "installed", "need_node", "toolchain"]

#: Names the tools, and in the lock file their versions and hashes.
PINNED: Final = Path(__file__).resolve().parent.parent / "pins" / "javascript"
_QUIETLY: Final = ("--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def toolchain() -> str:
    """Name the pinned tools, which a build depends on."""
    lock = (PINNED / "package-lock.json").read_bytes()
    return "npm " + hashlib.sha256(lock).hexdigest()[:16]


def need_node() -> None:
    """Return if there are node and npm.

    Raises:
        ToolchainMissing: One of them is missing.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise ToolchainMissing(f"no {program} on PATH", hint="install Node.js 20 or later")


def installed(say: Callable[[str], None] = silent) -> Path:
    """Install the tools unless they are there; return the folder of their programs.

    Raises:
        ToolchainMissing: There is no node or no npm, or npm could not install them.
    """
    need_node()
    tools = cache() / "tools"
    home = tools / toolchain().replace(" ", "-")
    programs = home / "node_modules" / ".bin"
    if programs.exists():
        return programs
    with locked(tools, "another installation of tools", say):
        if programs.exists():
            return programs
        say("installing the JavaScript toolchain by npm (once)")
        with scratch(tools) as making:
            fresh = making / "tools"
            shutil.copytree(PINNED, fresh)
            # Not `npm ci`: that fails on unpublished optional packages of other platforms.
            # This takes the versions of the lock file too, and checks their hashes.
            try:
                run(["npm", "install", *_QUIETLY], cwd=fresh)
            except BuildFailed as error:
                missing = ToolchainMissing(
                    "npm could not install the JavaScript toolchain",
                    hint="it comes from the registry of npm once; look at the network: npm ping",
                )
                for note in error.__notes__:
                    missing.add_note(note)
                raise missing from error
            shutil.rmtree(home, ignore_errors=True)
            fresh.replace(home)
    return programs


def build(
    source: Path, wit: Path, output: Path, *, world: str = "", say: Callable[[str], None] = silent
) -> None:
    """Build a module.

    Args:
        source: The module; what it imports beside itself is the world's.
        wit: The folder with the world, and the packages that it needs in `deps/`.
        output: Where the component goes.
        world: Which world, where there are several.
        say: Told what takes its time.

    Raises:
        ToolchainMissing: As `installed` says.
        BuildFailed: The tool refused; its words are notes.
    """
    program = installed(say) / "componentize-qjs"
    # `--sync` and `--stub-wasi`: the small runtime of components that import their world alone.
    command = [str(program), "--wit", str(wit), "--js", source.name, "--sync", "--stub-wasi"]
    if world:
        command += ["--world", world]
    run(
        [*command, "--opt-size", "--output", str(output)],
        cwd=source.parent,
        failed=f"{source.name} could not be built",
    )
