"""The components that run scripts, one for each language, installed or built once."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.authoring.contract import CONTRACT, whole
from airssys.authoring.errors import ToolchainMissing
from airssys.authoring.places import locked, put, scratch, silent
from airssys.authoring.stamps import recipe_files
from airssys.authoring.wit import world_of
from airssys.wasm.scripts.loaders import find_loader, loader_cache, loader_folders

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.wasm.scripts.script import Language

__all__ = ["loader", "loader_name"]

_HOME: Final = Path(__file__).resolve().parent / "loader-sources"


def loader(language: Language, say: Callable[[str], None] = silent) -> str:
    """Return the digest of a language's loader, which is built unless this machine has it.

    Raises:
        ToolchainMissing: What builds it is missing; the hint says how to get it.
        BuildFailed: It could not be built.
    """
    name = loader_name(language)
    digest = _known(name)
    if digest is not None:
        return digest
    home = loader_cache()
    with locked(home, "another build of a loader", say):
        digest = _known(name)
        if digest is not None:
            return digest
        say(f"building what runs scripts in {language} (once)")
        with scratch(home) as making:
            content = _built(language, making, say)
        digest = hashlib.sha256(content).hexdigest()
        put(content, home / f"{digest}.wasm")
        digest = f"sha256:{digest}"
        put(digest.encode(), home / name)  # last: what has it is whole
    return digest


def _known(name: str) -> str | None:
    for folder in loader_folders():
        try:
            digest = (folder / name).read_text("ascii")
        except FileNotFoundError:
            continue
        if find_loader(digest) is not None:
            return digest
    return None


@functools.cache
def loader_name(language: Language) -> str:
    """Name the loader of a language by what it is made of, which is read once in a process."""
    total = hashlib.sha256(_toolchain(language).encode())
    files = [*sorted(each for each in _HOME.rglob("*") if each.is_file()), *recipe_files(language)]
    for file in (*files, *sorted(CONTRACT.rglob("*.wit"))):
        if file.suffix != ".pyc":
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return f"{language}-{total.hexdigest()[:32]}"


def _toolchain(language: Language) -> str:
    if language == "python":
        from airssys.authoring.languages.python import toolchain  # noqa: PLC0415 - one of them
    else:
        from airssys.authoring.languages.javascript import toolchain  # noqa: PLC0415
    return toolchain()


def _built(language: Language, making: Path, say: Callable[[str], None]) -> bytes:
    try:
        return _componentized(language, making, say)
    except ToolchainMissing as error:
        hint = f"{error.hint}, or pip install 'airssys[scripts]', which brings what is built"
        raise ToolchainMissing(error.summary, hint=hint) from error


def _componentized(language: Language, making: Path, say: Callable[[str], None]) -> bytes:
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
