"""Builds that are kept by what they were made from: the same sources are compiled once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any, Final

from airssys.authoring.places import cache, put
from airssys.authoring.stamps import recipe_files

if TYPE_CHECKING:
    from pathlib import Path

    from airssys.authoring.project import Project

__all__ = ["keep", "kept", "key_of"]

#: Bytes of builds that are kept; a component in Python has 18 MiB, one in Rust a tenth of one.
_MOST: Final = 2 << 30
#: What a compiler writes beside the component, and a project wants back.
_LOCK: Final = "Cargo.lock"


def _home() -> Path:
    return cache() / "built"


def key_of(project: Project, files: dict[str, list[Any]], toolchain: str) -> str:
    """Return what names the build of a project.

    Args:
        project: The project.
        files: Its sources, as `inputs` returns them.
        toolchain: The name of its compiler, with its version.
    """
    own = recipe_files(project.language)
    recipe = [hashlib.sha256(file.read_bytes()).hexdigest() for file in own]
    sources = sorted((name, entry[2]) for name, entry in files.items())
    told = json.dumps([project.language, toolchain, recipe, sources])
    return hashlib.sha256(told.encode()).hexdigest()


def kept(key: str, project: Project) -> bytes | None:
    """Return the component of a build that is kept, or None; its lock file is put back."""
    place = _home() / key
    try:
        content = (place / "component.wasm").read_bytes()
    except FileNotFoundError:
        return None
    os.utime(place)
    lock = place / _LOCK
    if lock.is_file() and not (project.folder / _LOCK).exists():
        put(lock.read_bytes(), project.folder / _LOCK)
    return content


def keep(key: str, project: Project, content: bytes) -> None:
    """Keep a build; the one that was used longest ago makes room."""
    lock = project.folder / _LOCK
    if project.language == "rust" and lock.is_file():
        put(lock.read_bytes(), _home() / key / _LOCK)
    put(content, _home() / key / "component.wasm")  # last: what has it is whole
    total = 0
    for each in sorted(_home().iterdir(), key=lambda each: each.stat().st_mtime, reverse=True):
        try:
            total += (each / "component.wasm").stat().st_size
        except FileNotFoundError:
            continue  # another build is writing it, or removing it
        if total > _MOST:
            shutil.rmtree(each, ignore_errors=True)
