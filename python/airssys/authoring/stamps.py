"""Whether a component is still what its sources give: asked before anything large is imported."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airssys.authoring.places import put

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["fresh_report", "inputs", "keep_stamp", "recipe_files", "sources"]

#: Folders whose content is no source.
_SKIPPED: Final = {"build", "target", "node_modules", "__pycache__", "tests", "dist"}
_NAME: Final = ".stamp.json"
#: What builds besides a language's own: a build by another version is stale.
_COMMON: Final = ("build.py", "commands.py", "contract.py")
#: Folders of this package that have something for each language, under its name.
_BY_LANGUAGE: Final = ("entry", "languages", "pins", "sdk")
_BUILDERS: Final = Path(__file__).resolve().parent


def sources(folder: Path) -> Iterator[Path]:
    """Return the files that the component of a project is made from, in a fixed order."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(
            each for each in folders if each not in _SKIPPED and not each.startswith(".")
        )
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(place, name)


def fresh_report(folder: Path, output: Path) -> dict[str, Any] | None:
    """Return the report of the build that made `output`, or None where it is to be built anew.

    Files that look as they did then are not read; of those that do not, the content counts.
    """
    try:
        stamp = json.loads((output.parent / _NAME).read_bytes())
        made = output.stat()
    except (OSError, ValueError):
        return None
    if not isinstance(stamp, dict) or stamp.get("tools") != _tools(stamp.get("language", "")):
        return None
    if stamp.get("output") != [made.st_size, made.st_mtime_ns]:
        return None
    before = json.dumps(stamp["files"])
    if not _same(folder, stamp["files"]):
        return None
    if json.dumps(stamp["files"]) != before:
        put(json.dumps(stamp).encode(), output.parent / _NAME)
    report: dict[str, Any] = stamp["report"]
    return report


def _same(folder: Path, known: dict[str, list[Any]]) -> bool:
    """Return whether the sources are those that are known; notes what only looks other."""
    seen = 0
    for file in sources(folder):
        entry, state = known.get(str(file.relative_to(folder))), file.stat()
        if entry is None:
            return False
        seen += 1
        if entry[:2] != [state.st_size, state.st_mtime_ns]:
            if entry[2] != _digest(file):
                return False
            entry[:2] = [state.st_size, state.st_mtime_ns]
    return seen == len(known)


def inputs(folder: Path) -> dict[str, list[Any]]:
    """Return size, time and digest of each source; taken before a build, so that an edit shows."""
    found: dict[str, list[Any]] = {}
    for file in sources(folder):
        state = file.stat()
        found[str(file.relative_to(folder))] = [state.st_size, state.st_mtime_ns, _digest(file)]
    return found


def keep_stamp(
    output: Path, language: str, files: dict[str, list[Any]], report: dict[str, Any]
) -> None:
    """Write down what a component was made from.

    Args:
        output: The component.
        language: What it is written in.
        files: What `inputs` returned before it was built.
        report: What there is to say of the build.
    """
    made = output.stat()
    stamp = {
        "language": language,
        "tools": _tools(language),
        "output": [made.st_size, made.st_mtime_ns],
        "files": files,
        "report": report,
    }
    put(json.dumps(stamp).encode(), output.parent / _NAME)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def recipe_files(language: str) -> list[Path]:
    """Return the files of this package that a component in a language depends on, in order."""
    name = "javascript" if language == "typescript" else language
    found = [_BUILDERS / each for each in _COMMON]
    for part in _BY_LANGUAGE:
        for own in (_BUILDERS / part).iterdir():
            if own.name != name and not own.name.startswith((f"{name}.", f"{name}_")):
                continue
            for folder, _, files in os.walk(own):
                found += [Path(folder, file) for file in files if not file.endswith(".pyc")]
            if own.is_file():
                found.append(own)
    return sorted(found)


def _tools(language: str) -> list[Any]:
    """Return what tells one set of tools from another, without starting any."""
    rustup = Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup") / "settings.toml"
    places = [rustup, *recipe_files(language)]
    if node := shutil.which("node"):
        places.append(Path(node))
    found: list[Any] = []
    for place in places:
        try:
            state = place.stat()
        except OSError:
            continue
        found.append([str(place), state.st_size, state.st_mtime_ns])
    return found
