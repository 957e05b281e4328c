"""Scripts: one file of source that is deployed as it is."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Final

from airssys.authoring.errors import NoProject
from airssys.authoring.loaders import loader
from airssys.authoring.places import silent
from airssys.osl.schema_file import Problem, read_text
from airssys.wasm.errors import ComponentTooLarge
from airssys.wasm.manifest import (
    ManifestError,
    embed_manifest,
    parse_component_manifest,
    read_component_manifest,
)
from airssys.wasm.scripts import LARGEST, Script

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airssys.wasm.manifest import ComponentManifest
    from airssys.wasm.scripts.script import Language

__all__ = ["LANGUAGES", "is_script", "script", "script_name"]

#: The languages of scripts, by the ending of their files.
LANGUAGES: Final[dict[str, Language]] = {".py": "python", ".js": "javascript"}
_BEGIN: Final = re.compile(r"^(#|//) /// component[ \t]*$", re.MULTILINE)
_UNNAMED: Final = "local/script"


def is_script(file: Path) -> bool:
    """Return whether a file is deployed as a script, going by its ending."""
    return file.suffix in LANGUAGES and not file.is_dir()


def script(file: Path, *, say: Callable[[str], None] = silent) -> bytes:
    """Return a script as what `Host.deploy` takes; the loader of its language is built once.

    What it asks for stands in a comment at its top, as in `Component.toml`:

        # /// component
        # [capabilities]
        # filesystem = [{ path = "/data/**", access = ["read"] }]
        # ///

    or in the `Component.toml` beside it where it has no such comment.

    Args:
        file: The script: `handler.py`, `handler.js`.
        say: Told what takes its time.

    Raises:
        NoProject: It is no script, by its ending.
        ManifestError: The comment cannot be used; names file, line and column.
        ComponentTooLarge: It has more than 1 MiB.
        ToolchainMissing: Its loader is not there yet, and what builds it is missing.
        OSError: It cannot be read.
    """
    if file.suffix not in LANGUAGES:
        raise NoProject(f"{file} is no script", hint=f"a script ends in {', '.join(LANGUAGES)}")
    language = LANGUAGES[file.suffix]
    source = _source(file)
    manifest = _manifest(file, source)
    made = Script(
        language=language, loader=loader(language, say), file=file.name, source=source
    ).packed()
    return made if manifest is None else embed_manifest(made, manifest)


def script_name(file: Path) -> str | None:
    """Return the name that a script's manifest gives it, or None.

    Raises:
        ManifestError, ComponentTooLarge, OSError: As `script` says.
    """
    manifest = _manifest(file, _source(file))
    if manifest is None or manifest.component.name == _UNNAMED:
        return None
    return manifest.component.name


def _source(file: Path) -> str:
    size = file.stat().st_size
    if size > LARGEST:  # before it is read
        raise ComponentTooLarge(
            f"{file} has {size} bytes; a script has {LARGEST} at most",
            what="bytes",
            found=size,
            most=LARGEST,
        )
    try:
        return read_text(file.read_bytes(), str(file))
    except Problem as problem:
        raise problem.as_error(ManifestError) from problem.__cause__


def _manifest(file: Path, source: str) -> ComponentManifest | None:
    """Return what a script says of itself, or the file beside it says; None for nothing."""
    text = _header(file, source)
    if text is not None:
        return parse_component_manifest(text, str(file))
    beside = file.with_name("Component.toml")
    return read_component_manifest(beside) if beside.is_file() else None


def _header(file: Path, source: str) -> str | None:
    """Return the manifest in a comment, each line and column of it where it is in the file."""
    begin = _BEGIN.search(source)
    if begin is None:
        return None
    mark = begin[1]
    above = source[: begin.start()].count("\n")
    lines: list[str] = []
    for line in source[begin.end() :].splitlines()[1:]:
        if line.rstrip() == f"{mark} ///":
            return "\n" * above + _completed(lines)
        if not line.startswith(mark):
            break
        lines.append(line.replace(mark, " " * len(mark), 1))
    raise ManifestError(
        f"{file}:{above + 1}:1: the manifest has no end; a line `{mark} ///` ends it"
    )


def _completed(lines: list[str]) -> str:
    """Return a manifest with what scripts need not say, where that moves nothing else."""
    text = "\n".join(lines)
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        said = {}  # the check says where
    first = "" if "schema" in said else "schema = 1"
    last = "" if "component" in said else f'[component]\nname = "{_UNNAMED}"\nversion = "0.0.0"'
    return f"{first}\n{text}\n{last}\n"
