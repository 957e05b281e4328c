"""The components that run scripts, one for each language, built once for this machine."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.authoring.contract import CONTRACT, whole
from airssys.authoring.places import cache, locked, put, scratch, silent
from airssys.authoring.stamps import recipe_files
from airssys.authoring.wit import world_of
from airssys.wasm.scripts.loaders import loader_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.wasm.scripts.script import Language

__all__ = ["loader"]

_HOME: Final = Path(__file__).resolve().parent / "loader-sources"


def loader(language: Language, say: Callable[[str], None] = silent) -> str:
    """Build the loader of a language unless it is there, and return its digest.

    Raises:
        ToolchainMissing: What builds it is missing; the hint says how to get it.
        BuildFailed: It could not be built.
    """
    home = cache() / "loader-sources"
    known = home / f"{language}-{_key(language)}"
    digest = _known(known)
    if digest is not None:
        return digest
    with locked(home, "another build of a loader", say):
        digest = _known(known)
        if digest is not None:
            return digest
        say(f"building what runs scripts in {language} (once)")
        with scratch(home) as making:
            content = _built(language, making, say)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        put(content, loader_place(digest))
        put(digest.encode(), known)  # last: what has it is whole
    return digest


def _known(file: Path) -> str | None:
    try:
        digest = file.read_text("ascii")
    except FileNotFoundError:
        return None
    return digest if loader_place(digest).is_file() else None


def _key(language: Language) -> str:
    """Name what the loader of a language is made of."""
    total = hashlib.sha256(_toolchain(language).encode())
    files = [*sorted(each for each in _HOME.rglob("*") if each.is_file()), *recipe_files(language)]
    for file in (*files, *sorted(CONTRACT.rglob("*.wit"))):
        if file.suffix != ".pyc":
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:32]


def _toolchain(language: Language) -> str:
    if language == "python":
        from airssys.authoring.languages.python import toolchain  # noqa: PLC0415 - one of them
    else:
        from airssys.authoring.languages.javascript import toolchain  # noqa: PLC0415
    return toolchain()


def _built(language: Language, making: Path, say: Callable[[str], None]) -> bytes:
    made = making / "loader.wasm"
    with whole(_HOME / "wit", making) as wit:
        if language == "python":
            from airssys.authoring.languages import python  # noqa: PLC0415

            python.build(_HOME / "python", wit, made, world=language, say=say)
        else:
            from airssys.authoring.languages import javascript  # noqa: PLC0415

            source = _HOME / "javascript" / "app.js"
            javascript.build(source, wit, made, world=world_of(wit, language), say=say)
    return made.read_bytes()
