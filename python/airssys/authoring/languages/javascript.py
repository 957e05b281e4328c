"""Building JavaScript by componentize-qjs, which npm installs into the user's cache."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.authoring.commands import run
from airssys.authoring.errors import BuildFailed, ToolchainMissing
from airssys.authoring.places import cache, locked, scratch, silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.authoring.wit import World

__all__ = ["build", "installed", "need_node", "toolchain"]

#: Names the tools, and in the lock file their versions and hashes.
PINNED: Final = Path(__file__).resolve().parent.parent / "pins" / "javascript"
#: What a program finds beside its world, and what that needs of WASI.
ENTRY: Final = Path(__file__).resolve().parent.parent / "entry" / "javascript"
#: The guest library, which every program may import by its name.
LIBRARY: Final = "airssys-component"
SDK: Final = (
    (Path(__file__).resolve().parent.parent / "sdk" / "javascript" / "package.json")
    .resolve()
    .parent
)
_PRELUDE_VERSION: Final = "0.2.9"
_PRELUDE: Final = tuple(
    f"wasi:{name}@{_PRELUDE_VERSION}" for name in ("cli/stdout", "cli/stderr", "random/random")
)
#: The world with the imports of the prelude.
_WORLD: Final = "airssys-entry"
#: What componentize-qjs starts a program without: it stands in resources of its own for what it
#: does not know, and streams that an unknown interface uses are then not those of the `wasi:io`
#: that it knows. While it works these have names, as long, that it knows none of.
_UNKNOWN: Final = ("http", "io")
_MEANWHILE: Final = "then"
#: How esbuild tells of a mistake.
_MISTAKE: Final = re.compile(
    r"\[ERROR\] (?P<what>.*)\n\s+(?P<file>\S.*):(?P<line>\d+):(?P<column>\d+):$", re.MULTILINE
)
_QUIETLY: Final = ("--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def toolchain() -> str:
    """Name the pinned tools, which a build depends on."""
    lock = (PINNED / "package-lock.json").read_bytes()
    return "npm " + hashlib.sha256(lock).hexdigest()[:16]


def need_node() -> None:
    """Return if there are node and npm.

    Raises:
        ToolchainMissing: One of them is missing.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise ToolchainMissing(f"no {program} on PATH", hint="install Node.js 20 or later")


def installed(say: Callable[[str], None] = silent) -> Path:
    """Install the tools unless they are there; return the folder of their programs.

    Raises:
        ToolchainMissing: There is no node or no npm, or npm could not install them.
    """
    need_node()
    tools = cache() / "tools"
    home = tools / toolchain().replace(" ", "-")
    programs = home / "node_modules" / ".bin"
    if programs.exists():
        return programs
    with locked(tools, "another installation of tools", say):
        if programs.exists():
            return programs
        say("installing the JavaScript toolchain by npm (once)")
        with scratch(tools) as making:
            fresh = making / "tools"
            shutil.copytree(PINNED, fresh)
            # Not `npm ci`: that fails on unpublished optional packages of other platforms.
            # This takes the versions of the lock file too, and checks their hashes.
            try:
                run(["npm", "install", *_QUIETLY], cwd=fresh)
            except BuildFailed as error:
                missing = ToolchainMissing(
                    "npm could not install the JavaScript toolchain",
                    hint="it comes from the registry of npm once; look at the network: npm ping",
                )
                for note in error.__notes__:
                    missing.add_note(note)
                raise missing from error
            shutil.rmtree(home, ignore_errors=True)
            fresh.replace(home)
    return programs


def build(
    source: Path,
    wit: Path,
    output: Path,
    *,
    world: World | None = None,
    say: Callable[[str], None] = silent,
) -> None:
    """Build a module, and those that it imports.

    Args:
        source: The module, in JavaScript or TypeScript, whose types are left out unchecked.
        wit: The folder with the world, and the packages that it needs in `deps/`.
        output: Where the component goes.
        world: The world, for a component that prints, draws random numbers and reads clocks
            through WASI; None for one that imports nothing but the only world there is.
        say: Told what takes its time.

    Raises:
        ToolchainMissing: As `installed` says.
        BuildFailed: A tool refused, or the module lacks what its world exports; the tool's words
            are notes.
    """
    programs = installed(say)
    failed = f"{source.name} could not be built"
    # `--sync`: the runtime of components without component-model async.
    command: list[str | Path] = [programs / "componentize-qjs", "--sync", "--opt-size"]
    if world is None:
        command += ["--wit", wit, "--js", source.name, "--stub-wasi", "--output", output]
        run(command, cwd=source.parent, failed=failed)
        return
    with scratch(output.parent) as making:
        laid = _with_prelude(wit, making / "wit")
        _bundle(programs, source, wit, world, making)
        http = any(name.startswith("wasi:http/") for name in world.imports)
        if http:
            for file in (making / "bundle.js", *laid.rglob("*.wit")):
                if not file.name.startswith("prelude-"):
                    _rename(file, "wasi", _MEANWHILE)
        _add_imports(laid, world)
        command += ["--wit", laid, "--world", _WORLD, "--js", "bundle.js", "--output", output]
        run(command, cwd=making, failed=failed)
        if http:
            _rename(output, _MEANWHILE, "wasi")


def _with_prelude(wit: Path, laid: Path) -> Path:
    """Lay out the packages of a world, and those that the prelude needs."""
    shutil.copytree(wit, laid)
    texts = "".join(file.read_text("utf-8") for file in laid.rglob("*.wit"))
    for file in sorted((ENTRY / "wit").glob("*.wit")):
        if f"package wasi:{file.stem}@{_PRELUDE_VERSION};" not in texts:
            place = laid / "deps" / f"prelude-{file.name}"
            place.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, place)
    return laid


def _add_imports(laid: Path, world: World) -> None:
    """Write the world that a program is built for: its own, with the imports of the prelude."""
    imports = "".join(f"    import {name};\n" for name in _PRELUDE)
    text = f"world {_WORLD} {{\n    include {world.name};\n{imports}}}\n"
    (laid / f"{_WORLD}.wit").write_text(text, "utf-8")


def _rename(file: Path, before: str, after: str) -> None:
    """Rename packages wherever a file names them; no other byte moves.

    The prelude imports another version of `wasi:io`.
    """
    names = "|".join(_UNKNOWN)
    pattern = rf"{before}(:(?:{names})(?:/[a-z-]+)?@)(?!{re.escape(_PRELUDE_VERSION)})"
    content = re.sub(pattern.encode(), rf"{after}\1".encode(), file.read_bytes())
    file.write_bytes(content)


def _bundle(programs: Path, source: Path, wit: Path, world: World, making: Path) -> None:
    """Make one module of the prelude, a program and what that imports."""
    entry, meta = making / "entry.js", making / "meta.json"
    names = json.dumps(str(ENTRY / "prelude.js")), json.dumps(str(source))
    entry.write_text("import {};\nexport * from {};\n".format(*names), "utf-8")
    # What is left of these beyond the world's imports is told below, by its name in WIT.
    outside = [f"--external:{name}" for name in (*world.imports, "wasi:*", "airssys:*")]
    # The program itself: what npm puts before it shows its own failure as well.
    (esbuild,) = (programs.parent / "@esbuild").glob("*/bin/esbuild")
    command: list[str | Path] = [esbuild, entry, "--bundle", "--format=esm"]
    # Without white space there are no comments with paths of this machine either.
    options = [
        "--platform=neutral",
        "--main-fields=module,main",
        "--minify-whitespace",
        f"--metafile={meta}",
        f"--alias:{LIBRARY}={SDK / 'src' / 'index.js'}",
        *outside,
    ]
    try:
        run(
            [*command, *options, f"--outfile={making / 'bundle.js'}"],
            cwd=source.parent,
            failed=f"{source.name} could not be read",
        )
    except BuildFailed as error:
        raise _placed(error) from None
    (bundle,) = json.loads(meta.read_bytes())["outputs"].values()
    for found in bundle["imports"]:
        if found["path"] not in (*world.imports, *_PRELUDE):
            raise BuildFailed(
                f"{source.name} imports {found['path']}, which the world {world.name} does not",
                hint=f"add it to the world in {wit}: import {found['path']};",
            )
    given = set(bundle["exports"])
    for path in world.exports:
        wanted = _in_javascript(path)
        if wanted not in given:
            raise BuildFailed(
                f"{source.name} does not export {wanted!r}",
                hint=f"the world {world.name} exports {path}",
            )


def _placed(error: BuildFailed) -> BuildFailed:
    """Begin what a mistake in a source is with its place."""
    (told,) = error.__notes__
    found = _MISTAKE.search(told)
    if found is None:
        return error
    column = int(found["column"]) + 1  # it counts from 0, and nobody else does
    placed = BuildFailed(f"{found['file']}:{found['line']}:{column}: {found['what']}")
    placed.add_note(told)
    return placed


def _in_javascript(path: str) -> str:
    """Return the name under which a module exports a function, or the interface that has it."""
    interface, found, name = path.partition("#")
    kebab = interface.rpartition("/")[2].partition("@")[0] if found else name or interface
    first, *others = kebab.split("-")
    return first + "".join(part.capitalize() for part in others)
