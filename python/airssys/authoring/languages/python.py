"""Building Python by componentize-py, which is installed into the user's cache."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.authoring.commands import run
from airssys.authoring.languages.pypi import installed_tool, pinned_version
from airssys.authoring.languages.python_packages import installed_packages
from airssys.authoring.places import silent

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["build", "installed", "toolchain"]

_HERE: Final = Path(__file__).resolve().parent
#: The tool, its version and the hashes of its wheels.
PINNED: Final = _HERE.parent / "pins" / "python.txt"
#: What componentize-py starts from: it prepares the interpreter, and takes over the names of `app`.
ENTRY: Final = _HERE.parent / "entry" / "python"
#: The guest library, which every component may import; where it really is, because what compiles
#: sees nothing beyond the folders that it is given.
SDK: Final = (_HERE.parent / "sdk" / "python" / "pyproject.toml").resolve().parent
_START: Final = "import sys; from componentize_py import script; sys.exit(script())"


def toolchain() -> str:
    """Name the pinned tool and what it starts from, which a build depends on."""
    library = sorted((SDK / "airssys_component").glob("*.py"))
    begin = b"".join(file.read_bytes() for file in (*sorted(ENTRY.glob("*.py")), *library))
    return f"componentize-py {pinned_version(PINNED)} {hashlib.sha256(begin).hexdigest()[:16]}"


def installed(say: Callable[[str], None] = silent) -> list[str]:
    """Install componentize-py unless it is there, and return how it is started.

    The one beside this package is taken where it has the pinned version.

    Raises:
        ToolchainMissing: It could not be installed.
    """
    wanted = pinned_version(PINNED)
    try:
        if importlib.metadata.version("componentize-py") == wanted:
            return [sys.executable, "-c", _START]
    except importlib.metadata.PackageNotFoundError:
        pass
    major, minor, *_ = sys.version_info
    home = installed_tool(PINNED, f"componentize-py-{wanted}-{major}.{minor}-only", say)
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(home)!r}); {_START}"]


def build(
    folder: Path,
    wit: Path,
    output: Path,
    *,
    world: str = "",
    say: Callable[[str], None] = silent,
) -> None:
    """Build the module `app` of a folder.

    Args:
        folder: Holds `app.py`, the modules that it imports, and `requirements.txt` where it needs
            packages of PyPI.
        wit: The folder with the world, and the packages that it needs in `deps/`.
        output: Where the component goes.
        world: Which world, where there are several.
        say: Told what takes its time.

    Raises:
        ToolchainMissing: As `installed` says.
        BuildFailed: The tool refused, or the module raised; its words are notes.
    """
    command = [*installed(say), "--wit-path", str(wit)]
    if world:
        command += ["--world", world]
    command += ["componentize", "airssys_entry", "--output", str(output)]
    packages, native = installed_packages(folder, say)
    for place in (ENTRY, folder, SDK, packages):
        if place is not None:
            command += ["--python-path", str(place)]
    hint = f"left out was native code, which no component runs: {', '.join(native)}"
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    failed = "app.py could not be built"
    run(command, cwd=folder, env=environment, failed=failed, hint=hint if native else "")
