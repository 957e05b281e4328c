"""Checks on the tree as a whole: no large file, one door to the native module, known licences."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LARGEST = 1_000_000
LICENCES = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}


def large_files() -> list[str]:
    """Name the tracked files that are too large for a source tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [
        f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes, at most {LARGEST}"
        for path in paths
        if path.is_file() and path.stat().st_size > LARGEST
    ]


def permitted(expression: str) -> bool:
    """Tell whether an SPDX expression can be satisfied with the known licences."""
    for alternative in re.split(r"\s+OR\s+|/", expression.replace("(", "").replace(")", "")):
        if all(part.strip() in LICENCES for part in re.split(r"\s+AND\s+", alternative)):
            return True
    return False


def licences() -> list[str]:
    """Name the crates whose licence is not among the known ones."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline"]
    metadata = json.loads(
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    )
    return [
        f"{package['name']} {package['version']}: licence {package['license']!r} is not accepted"
        for package in metadata["packages"]
        if not permitted(package["license"] or "")
    ]


def native_doors() -> list[str]:
    """Name the modules, other than `_native.py`, that import the native module."""
    pattern = re.compile(
        r"^\s*(from airssys import .*\b_core\b|(from|import) airssys\._core)", re.MULTILINE
    )
    return [
        f"{path.relative_to(ROOT)}: imports airssys._core; only a package's _native.py does"
        for path in sorted((ROOT / "python").rglob("*.py"))
        if path.name != "_native.py" and pattern.search(path.read_text("utf-8"))
    ]


def main() -> int:
    """Print what is wrong and return the exit code."""
    wrong = large_files() + native_doors() + licences()
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
