"""Pages of the documents that tools write from the code."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["write_or_check"]


def write_or_check(pages: Mapping[Path, str], about: str) -> int:
    """Write the pages, or with `--check` on the command line only compare them.

    Args:
        pages: What is to stand in which file.
        about: What the command does, for `--help`.

    Returns:
        The exit code: 1 when a page is stale.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    checking = parser.parse_args().check
    stale = False
    for path, text in pages.items():
        if not checking:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
        elif not path.is_file() or path.read_text("utf-8") != text:
            sys.stderr.write(f"error: {path} is stale\nhint: python tools/{parser.prog}\n")
            stale = True
    return int(stale)
