"""The WIT packages of the project, and those that a world needs."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from airssys.authoring.places import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CONTRACT", "complete", "needed", "whole"]

#: The folder of the packages `airssys:*`, one folder each; in `deps` those of WASI that the host
#: has beyond what compilers bring along.
CONTRACT = Path(__file__).resolve().parent / "contract"


def needed(wit: Path, contract: Path = CONTRACT) -> list[Path]:
    """Return the folders of the packages that a world needs, what others need before them.

    Args:
        wit: The folder with the world; what is in its `deps` is not looked for.
        contract: The folder of the packages.
    """
    found: list[Path] = []
    _needed_by(wit, contract, found)
    return found[:-1]


def _needed_by(folder: Path, contract: Path, found: list[Path]) -> None:
    texts = [file.read_text("utf-8") for file in sorted(folder.glob("*.wit"))]
    for owner, name in sorted(set(re.findall(r"\b(airssys|wasi):([a-z-]+)/", "\n".join(texts)))):
        package = contract / name if owner == "airssys" else contract / "deps" / name
        if package.is_dir() and package != folder and package not in found:
            _needed_by(package, contract, found)
    found.append(folder)


def complete(wit: Path, contract: Path = CONTRACT) -> list[str]:
    """Put the packages that a world needs in its `deps`, where they are missing.

    Returns:
        The names of those that were added.
    """
    added = []
    for package in needed(wit, contract):
        if not (wit / "deps" / package.name).exists():
            shutil.copytree(package, wit / "deps" / package.name)
            added.append(package.name)
    return added


@contextlib.contextmanager
def whole(wit: Path, near: Path, contract: Path = CONTRACT) -> Iterator[Path]:
    """Lay a world and the packages it needs out in one folder, as compilers want it.

    Args:
        wit: The folder with the world.
        near: A folder for the copy, which is removed in the end.
        contract: The folder of the packages.
    """
    with scratch(near) as folder:
        laid = folder / "wit"
        shutil.copytree(wit, laid)
        complete(laid, contract)
        yield laid
