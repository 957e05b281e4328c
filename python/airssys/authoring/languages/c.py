"""Building C by the compiler of Zig, which is installed into the user's cache, its libc with it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.authoring._native import c_bindings, componentise
from airssys.authoring.commands import run
from airssys.authoring.errors import BuildFailed, NoProject
from airssys.authoring.languages.pypi import installed_tool, pinned_version
from airssys.authoring.places import cache, locked, put, silent
from airssys.authoring.stamps import sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.authoring.wit import World

__all__ = ["build", "toolchain"]

_HERE: Final = Path(__file__).resolve().parent
#: The compiler, its version and the hashes of its wheels.
PINNED: Final = _HERE.parent / "pins" / "c.txt"
#: The guest library; where it really is.
SDK: Final = (_HERE.parent / "sdk" / "c" / "airssys.h").resolve().parent
#: Where a project finds what is written for it, such as `component.h`; editors too.
BINDINGS: Final = Path("build", "bindings")
_WORLD: Final = "world.h"
_FLAGS: Final = (
    "--target=wasm32-wasi",
    "-std=gnu23",
    "-Os",
    "-mexec-model=reactor",
    "-Wall",
    "-Werror=format",
    "-Werror=return-type",
    "-Wl,-z,stack-size=1048576",  # 16 MiB would count against the memory of each instance
    "-Wl,--strip-debug",  # function names stay: backtraces of traps show them
)
#: Variables that would let other headers in.
_UNWANTED: Final = {"CPATH", "C_INCLUDE_PATH"}
_UNDEFINED: Final = re.compile(r"undefined symbol: (\w+)")
#: What a project without them is told to write, by the names that its linker misses.
_MACROS: Final = {"airssys_the_actor": "AIRSSYS_ACTOR(…);", "airssys_answer": "AIRSSYS_HTTP(…);"}


def toolchain() -> str:
    """Name the pinned compiler, which a build depends on."""
    return f"ziglang {pinned_version(PINNED)}"


def build(
    folder: Path, wit: Path, output: Path, *, world: World, say: Callable[[str], None] = silent
) -> None:
    """Build the sources `*.c` of a folder.

    Args:
        folder: The project.
        wit: The folder with the world, and the packages that it needs in `deps/`.
        output: Where the component goes.
        world: The world.
        say: Told what takes its time.

    Raises:
        NoProject: There is no source.
        ToolchainMissing: The compiler could not be installed.
        BuildFailed: The compiler refused, or the sources lack what the world exports; its words
            are notes.
    """
    names = [str(file.relative_to(folder)) for file in sources(folder) if file.suffix == ".c"]
    if not names:
        raise NoProject(
            f"{folder} has no source", hint="Component.toml says that it is written in C: app.c"
        )
    packages = installed_tool(PINNED, f"ziglang-{pinned_version(PINNED)}", say)
    _write_bindings(folder / BINDINGS, wit, world)
    kept = cache() / "zig"
    if not kept.exists():
        say("compiling the C library for WebAssembly (once)")
    module = output.with_suffix(".core")
    # Relative to the project, so that no path of this machine gets into the component.
    command: list[str | Path] = [packages / "ziglang" / "zig", "cc", *_FLAGS]
    command += [f"-ffile-prefix-map={SDK}=airssys", f"-I{BINDINGS}", "-o", module]
    command += [*names, *sorted(map(str, (SDK / "src").glob("*.c")))]
    command += [BINDINGS / "component.c", BINDINGS / "component_component_type.o"]
    environment = {key: value for key, value in os.environ.items() if key not in _UNWANTED}
    environment |= {"ZIG_GLOBAL_CACHE_DIR": str(kept), "ZIG_LOCAL_CACHE_DIR": str(kept)}
    with locked(kept, "another build of C", say):
        try:
            run(
                command,
                cwd=folder,
                env=environment,
                failed="the C compiler refused; its messages are above",
                say=say,
            )
        except BuildFailed as error:
            raise _explained(error, world) from None
    try:
        output.write_bytes(componentise(module.read_bytes()))
    except ValueError as error:
        raise BuildFailed(f"the sources do not fit the world {world.name}: {error}") from None


def _write_bindings(folder: Path, wit: Path, world: World) -> None:
    """Write what the sources include: the world as C sees it, and what it has in macros."""
    files = c_bindings(wit, world.name)
    imports = {f"WORLD_IMPORTS_{_macro(path)}" for path in world.imports}
    exports = {f"WORLD_EXPORTS_{_macro(path)}" for path in world.exports}
    macros = sorted(imports | exports)
    if b"component_string_t" in files["component.h"]:
        macros.append("WORLD_HAS_TEXTS")
    lines = [
        "// What the world imports and exports.",
        "#ifndef WORLD_H",
        "#define WORLD_H",
        '#include "component.h"',
        *(f"#define {name}" for name in macros),
        "#endif",
    ]
    files[_WORLD] = "\n".join(lines).encode() + b"\n"
    files["airssys.h"] = (SDK / "airssys.h").read_bytes()
    for name, content in files.items():
        put(content, folder / name)


def _macro(path: str) -> str:
    """Return the interface of a path as macros name it: `AIRSSYS_CORE_HOST`."""
    interface = path.partition("#")[0].partition("@")[0]
    return re.sub(r"\W+", "_", interface.replace("-", "_")).upper()


def _explained(error: BuildFailed, world: World) -> BuildFailed:
    """Say in the words of the author what a linker did not find."""
    missing = _UNDEFINED.findall("".join(error.__notes__))
    if not missing:
        return error
    wanted = _MACROS.get(missing[0])
    if wanted is None and not missing[0].startswith("exports_"):
        return error
    summary = f"no source has {wanted or missing[0]}"
    hint = f"the world {world.name} wants it; {BINDINGS / 'component.h'} declares its exports"
    return BuildFailed(summary, hint=hint)
