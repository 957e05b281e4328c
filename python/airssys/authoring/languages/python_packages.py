"""What a Python project needs of PyPI: `requirements.txt`, without code that is not Python."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
from typing import TYPE_CHECKING, Final

from airssys.authoring.commands import run
from airssys.authoring.errors import BuildFailed, ToolchainMissing
from airssys.authoring.places import cache, locked, silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["installed_packages"]

_FILE: Final = "requirements.txt"
#: What no component can run.
_NATIVE: Final = ("*.so", "*.pyd", "*.dylib")


def installed_packages(
    folder: Path, say: Callable[[str], None] = silent
) -> tuple[Path | None, tuple[str, ...]]:
    """Install what a project needs, once for each content of its `requirements.txt`.

    Returns:
        The folder to import from, None where nothing is needed; and the packages that came with
        native code, which was left out. Many have it for speed alone.

    Raises:
        ToolchainMissing: There is neither pip nor uv.
        BuildFailed: A requirement could not be installed; the tool's words are notes.
    """
    file = folder / _FILE
    if not file.is_file():
        return None, ()
    home = cache() / "python-packages" / _key(file)
    ready = home / "native"  # written last: what has it is whole
    if not ready.exists():
        with locked(home.parent, "another installation of packages", say):
            if not ready.exists():
                say(f"installing what {_FILE} names")
                shutil.rmtree(home, ignore_errors=True)
                _install(file, home / "packages")
                ready.write_text("\n".join(_without_native(home / "packages")), "utf-8")
    return home / "packages", tuple(ready.read_text("utf-8").split())


def _key(file: Path) -> str:
    """Name the content of a file, and that of the files beside it that it names."""
    content = file.read_bytes()
    total = hashlib.sha256(content)
    for line in content.decode("utf-8", "replace").splitlines():
        beside = file.parent / line.strip()
        if line.strip() and beside.is_file():
            total.update(beside.read_bytes())
    return total.hexdigest()[:24]


def _install(file: Path, target: Path) -> None:
    words = ["--quiet", "--only-binary", ":all:", "--target", str(target)]
    words += ["--requirement", str(file)]
    if uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", sys.executable, *words]
    elif importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "install", *words]
    else:
        raise ToolchainMissing(
            f"{file} needs pip or uv", hint="install one: python -m ensurepip, or pip install uv"
        )
    try:
        run(command, cwd=file.parent, failed=f"{file} could not be installed")
    except BuildFailed:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _without_native(packages: Path) -> list[str]:
    """Remove native code; return the packages that had some."""
    found = set()
    for pattern in _NATIVE:
        for file in packages.rglob(pattern):
            found.add(file.relative_to(packages).parts[0].partition(".")[0])
            file.unlink()
    return sorted(found)
