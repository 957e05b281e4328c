"""Kits: what a vendor gives to those who write components for it, in one file.

A kit is a folder like those of `templates`, with a `kit.toml`, packed as a zip archive. What is in
one may come from anybody: it is unpacked with a bound on everything.
"""

from __future__ import annotations

import contextlib
import importlib
import stat
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from airssys.authoring.errors import AuthoringError
from airssys.authoring.new import LANGUAGES, new_project
from airssys.authoring.places import put
from airssys.authoring.project import MANIFEST, Project
from airssys.authoring.wit import world_of
from airssys.osl.schema_file import Problem, check_toml, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Kit", "KitError", "pack", "read_kit", "unpacked"]

_ABOUT: Final = "kit.toml"
_COMMON: Final = "common"
#: Bounds of a kit: bytes of the archive, of one file, and of all; files; characters of a path.
_MOST_PACKED: Final = 8 << 20
_MOST_BYTES: Final = 16 << 20
_MOST_FILES: Final = 1000
_LONGEST_PATH: Final = 200
#: The time of everything in an archive, so that the same folder gives the same one.
_THEN: Final = (1980, 1, 1, 0, 0, 0)
_NAME: Final = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
_WORDS: Final = {_NAME: "lower-case words joined by hyphens"}


class KitError(AuthoringError):
    """A kit cannot be packed or used."""

    default_code = "kit-invalid"


class Kit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `kit.toml` says under `[kit]`.

    Attributes:
        name: What it is called.
        version: By semver.
        description: What it is for, in a line.
    """

    name: Annotated[str, msgspec.Meta(pattern=_NAME)]
    version: str
    description: str = ""


class _About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Annotated[int, msgspec.Meta(ge=1, le=1)]
    kit: Kit


def pack(folder: Path, output: Path, *, contract: str = "") -> Kit:
    """Pack a folder as a kit. A project is made from it in each language and read, first.

    Args:
        folder: Has `kit.toml`, `common` and a folder for each language.
        output: Where the kit goes.
        contract: A Protocol as `module:Name`, whose WIT goes in; a world that exports it too,
            where the folder has none.

    Raises:
        KitError: What is there makes no kit.
        AuthoringError: The projects that it makes cannot be read.
    """
    files = dict(_files(folder))
    if contract:
        files = _with_contract(files, contract)
    kit = _about(files, folder)
    with tempfile.TemporaryDirectory() as making:
        made = Path(making, "kit")
        _write(files, made)
        languages = [name for name in LANGUAGES if (made / name).is_dir()]
        if not languages:
            raise KitError(
                f"{folder} has no language", hint=f"make a folder: {', '.join(LANGUAGES)}"
            )
        for language in languages:
            project = new_project(
                "example", language=language, folder_of_template=made, into=Path(making, language)
            )
            if not (project / LANGUAGES[language]).is_file():
                raise KitError(f"{folder} has no {language}/{LANGUAGES[language]}.in")
            if not (project / MANIFEST).is_file():
                raise KitError(f"{folder} has no {_COMMON}/{MANIFEST}.in")
            read = Project.at(project)
            world_of(read.wit, read.world)
        packed = Path(making, "packed")
        _archive(files, packed)
        _read(packed)  # it has to keep to the bounds of those who unpack it
        put(packed.read_bytes(), output)
    return kit


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a folder by their paths in it; no link, and nothing hidden but in them."""
    if not folder.is_dir():
        raise KitError(f"{folder} is no folder", hint="name the folder with kit.toml")
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if "__pycache__" in file.parts or name.startswith("."):
            continue
        if file.is_symlink():
            raise KitError(f"{file} is a link, which no kit has", hint="put a file there")
        if file.is_file():
            yield name, file.read_bytes()


def _with_contract(files: dict[str, bytes], contract: str) -> dict[str, bytes]:
    """Add the WIT of a Protocol."""
    from airssys.wasm.contracts import contract_of  # noqa: PLC0415 - few kits have one

    module, found, name = contract.partition(":")
    if not found:
        raise KitError(f"{contract!r} names no Protocol", hint="write it as module:Name")
    sys.path.insert(0, str(Path.cwd()))
    try:
        protocol = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise KitError(f"{contract!r} cannot be imported: {error}") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    made = contract_of(protocol)
    if made is None:
        raise KitError(f"{contract} is no contract", hint="@interface makes one of a Protocol")
    package, _, interface = made.name.partition("/")
    folder = package.rpartition(":")[2]
    world = f"package @package@@0.1.0;\n\nworld @world@ {{\n    export {made.name};\n}}\n"
    at = f"{_COMMON}/wit/deps/{folder}/{interface.partition('@')[0]}.wit"
    has_world = any(PurePosixPath(each).parent.as_posix() == f"{_COMMON}/wit" for each in files)
    own = {} if has_world else {f"{_COMMON}/wit/world.wit.in": world.encode()}
    return files | own | {at: made.wit().encode()}


def _about(files: dict[str, bytes], where: Path) -> Kit:
    """Read `kit.toml`."""
    if _ABOUT not in files:
        raise KitError(
            f"{where} has no {_ABOUT}",
            hint='it says: schema = 1, [kit], name = "…", version = "1.0.0"',
        )
    name = f"{where}/{_ABOUT}"
    try:
        return check_toml(read_text(files[_ABOUT], name), name, _About, _WORDS).value.kit
    except Problem as problem:
        raise KitError(str(problem)) from problem


def _archive(files: dict[str, bytes], output: Path) -> None:
    """Write the archive of files, which is the same for the same files."""
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _THEN)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED)


def read_kit(file: Path) -> Kit:
    """Return what a kit says of itself.

    Raises:
        KitError: It is no kit, or breaks a bound.
    """
    return _about(_read(file), file)


@contextlib.contextmanager
def unpacked(file: Path) -> Iterator[Path]:
    """Give a kit as a folder, which is removed in the end.

    Raises:
        KitError: It is no kit, or breaks a bound.
    """
    files = _read(file)
    _about(files, file)
    with tempfile.TemporaryDirectory() as making:
        _write(files, Path(making))
        yield Path(making)


def _write(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def _read(file: Path) -> dict[str, bytes]:
    """Read an archive whole into memory, with a bound on everything."""
    if not file.is_file():
        raise KitError(f"there is no kit {file}")
    if file.stat().st_size > _MOST_PACKED:
        raise KitError(f"{file} is larger than {_MOST_PACKED} bytes, which is the most of a kit")
    files: dict[str, bytes] = {}
    left = _MOST_BYTES
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if len(entries) > _MOST_FILES:
                raise KitError(f"{file} has {len(entries)} files; a kit has {_MOST_FILES} at most")
            for entry in entries:
                if entry.is_dir():
                    continue
                _check(entry, files, file)
                with archive.open(entry) as content:
                    # What its header says it comes to is not believed.
                    files[entry.filename] = content.read(left + 1)
                left -= len(files[entry.filename])
                if left < 0:
                    raise KitError(f"{file} has more than {_MOST_BYTES} bytes when unpacked")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise KitError(
            f"{file} is no kit: {error}", hint="`airssys kit pack DIR -o KIT` makes one"
        ) from error
    return files


def _check(entry: zipfile.ZipInfo, files: dict[str, bytes], file: Path) -> None:
    """Refuse an entry that is no file of its own beneath the folder."""
    name = entry.orig_filename
    parts = name.split("/")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if (
        any(part in ("", ".", "..") for part in parts)
        or len(name) > _LONGEST_PATH
        or not name.isprintable()
        or any(mark in name for mark in "\\:")
    ):
        raise KitError(f"{file} has a file {name!r}, which leads elsewhere or is no plain path")
    if kind not in (0, stat.S_IFREG):
        raise KitError(f"{file}: {name} is no plain file, and a kit has nothing else")
    # On some machines names that differ in case alone are one.
    if name.casefold() in {each.casefold() for each in files}:
        raise KitError(f"{file} has {name} twice")
