"""Build one JavaScript guest, by the tools that `tools/javascript` pins.

They are installed once per lock file into the user's cache, never globally.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

PINNED = Path(__file__).resolve().parent / "javascript"

QUIETLY = ("--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


class NoNodeError(Exception):
    """Say that JavaScript guests cannot be built here, and what to install."""


def toolchain() -> str:
    """Name the pinned tools, which a cached build depends on."""
    lock = (PINNED / "package-lock.json").read_bytes()
    return "npm " + hashlib.sha256(lock).hexdigest()[:16]


def need_node() -> None:
    """Raise `NoNodeError` where there is no node or no npm."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NoNodeError(f"no {program} on PATH; install Node.js 20 or later")


def installed(cache: Path) -> Path:
    """Install the tools into the cache unless they are there; the program that builds a guest."""
    home = cache / toolchain().replace(" ", "-")
    program = home / "node_modules" / ".bin" / "componentize-qjs"
    if program.exists():
        return program
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        fresh = Path(scratch) / "tools"
        shutil.copytree(PINNED, fresh)
        # Not `npm ci`: that fails on unpublished optional packages of other platforms.
        # This takes the versions of the lock file too, and checks their hashes.
        _run(["npm", "install", *QUIETLY], cwd=fresh)
        shutil.rmtree(home, ignore_errors=True)
        fresh.replace(home)
    return program


def build(folder: Path, wit: Path, output: Path, cache: Path) -> None:
    """Build the guest in a folder.

    Args:
        folder: Holds `app.js`.
        wit: The folder with its world, and the packages that needs in `deps/`.
        output: Where the component goes.
        cache: The user's cache of guests.

    Raises:
        NoNodeError: There is no node or no npm.
        RuntimeError: A tool failed; its words.
    """
    need_node()
    program = installed(cache)
    temporary = output.with_suffix(".tmp")
    # `--sync` and `--stub-wasi`: the small runtime of components that import their world alone.
    command = [str(program), "--wit", str(wit), "--js", "app.js", "--sync", "--stub-wasi"]
    _run([*command, "--opt-size", "--output", str(temporary)], cwd=folder)
    temporary.replace(output)


def _run(command: list[str], *, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed:\n{(done.stderr or done.stdout).strip()}")
