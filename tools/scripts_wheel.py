"""Build the wheel `airssys-scripts`: the components that run scripts, for machines without tools.

Usage: `python tools/scripts_wheel.py [FOLDER]`; into `dist/` by default.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from airssys.authoring.loaders import loader, loader_name
from airssys.wasm.scripts.loaders import PACKAGE, find_loader

ROOT = Path(__file__).resolve().parent.parent


def build(destination: Path) -> None:
    """Build the loaders that are not there yet, and the wheel with them."""
    with tempfile.TemporaryDirectory(prefix="airssys-scripts-") as directory:
        package = Path(directory, "scripts")
        shutil.copytree(ROOT / "sdk" / "scripts", package)
        shutil.copy(ROOT / "LICENSE", package)
        for language in ("python", "javascript"):
            digest = loader(language, print)
            shutil.copy(find_loader(digest), package / PACKAGE)
            (package / PACKAGE / loader_name(language)).write_text(digest)
        uv = Path(sys.executable).with_name("uv")
        command = [uv, "build", "--quiet", "--wheel", "--out-dir", destination, package]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").resolve())
