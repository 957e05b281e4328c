"""What a Python project needs of PyPI: `requirements.txt`, without code that is not Python."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Final

from airssys.authoring.languages.pypi import install
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
                words = ["--requirement", str(file)]
                install(words, home / "packages", file.parent, str(file))
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


def _without_native(packages: Path) -> list[str]:
    """Remove native code; return the packages that had some."""
    found = set()
    for pattern in _NATIVE:
        for file in packages.rglob(pattern):
            found.add(file.relative_to(packages).parts[0].partition(".")[0])
            file.unlink()
    return sorted(found)
