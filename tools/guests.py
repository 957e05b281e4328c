"""Build the guest components of `components/` into `build/components/<name>.wasm`.

The examples of interface templates, `examples/plugins/<name>`, are `plugin-<name>` there.

Usage: `python tools/guests.py [--only NAME]... [--list]`.

A folder with a `Cargo.toml` is a Rust guest, one with an `app.py` or an `app.js` and a `wit/` a
Python or JavaScript guest. Worlds that include packages of the project get them from `wit/` of the
repository. What was built is kept under a hash of its sources and its toolchain in
`${XDG_CACHE_HOME:-~/.cache}/airssys/guests`, so that nothing is built twice, in whatever clone.
Without Node.js the JavaScript guests are left out, with a line that says so.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python"))  # guests are built before the native module is

from airssys.authoring.contract import needed, whole  # noqa: E402
from airssys.authoring.errors import AuthoringError, ToolchainMissing  # noqa: E402
from airssys.authoring.languages import javascript, python, rust  # noqa: E402
from airssys.authoring.places import cache, locked  # noqa: E402

SOURCES = ROOT / "components"
PLUGINS = ROOT / "examples" / "plugins"
CONTRACT = ROOT / "wit"
OUTPUT = ROOT / "build" / "components"
CACHE = cache() / "guests"
KEPT_BUILDS = 8  # of one guest; clones at different commits share the cache
Language = Literal["Rust", "Python", "JavaScript"]


@dataclass(frozen=True, slots=True)
class Guest:
    """One folder of `components/` or of `examples/plugins/`."""

    name: str
    language: Language
    folder: Path

    @property
    def output(self) -> Path:
        """Where the built component belongs."""
        return OUTPUT / f"{self.name}.wasm"

    @property
    def packages(self) -> list[Path]:
        """The folders of the project's WIT packages that its world needs, needed ones first."""
        return needed(self.folder / "wit", CONTRACT)


def discover() -> list[Guest]:
    """List the guests that there are, by name."""
    found = []
    named = {folder.name: folder for folder in SOURCES.iterdir()}
    named |= {f"plugin-{folder.name}": folder for folder in PLUGINS.glob("*")}
    for name, folder in sorted(named.items()):
        if (folder / "Cargo.toml").is_file():
            if _is_shared(folder):
                continue
            found.append(Guest(name, "Rust", folder))
        elif (folder / "app.py").is_file() and (folder / "wit").is_dir():
            found.append(Guest(name, "Python", folder))
        elif (folder / "app.js").is_file() and (folder / "wit").is_dir():
            found.append(Guest(name, "JavaScript", folder))
    return found


def _is_shared(folder: Path) -> bool:
    """Tell whether a crate is code that guests share, not a guest."""
    manifest = (folder / "Cargo.toml").read_text("utf-8")
    return "cdylib" not in manifest and not (folder / "src" / "main.rs").exists()


def toolchain(language: Language) -> str:
    """Name the compiler and its version, which a cached build depends on."""
    return {"JavaScript": javascript, "Python": python, "Rust": rust}[language].toolchain()


def digest(guest: Guest, compiler: str) -> str:
    """Hash the sources of a guest, what it borrows from its neighbours, and its toolchain."""
    files = _files(guest.folder)
    for package in guest.packages:
        files += _files(package)
    if guest.language == "Rust":
        files += [SOURCES / "Cargo.toml", SOURCES / "Cargo.lock"]
        for source in guest.folder.rglob("*.rs"):
            for path in re.findall(r'"((?:\.\./)+[^"]+)"', source.read_text("utf-8")):
                files += _files((guest.folder / path).resolve())
        manifest = (guest.folder / "Cargo.toml").read_text("utf-8")
        for path in re.findall(r'path\s*=\s*"(\.\./[^"]+)"', manifest):
            files += _files((guest.folder / path).resolve())
    total = hashlib.sha256(f"{guest.language} {compiler}\n".encode())
    for file in sorted(set(files)):
        content = file.read_bytes()
        total.update(f"{file.relative_to(ROOT)} {len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()[:32]


def build(only: list[str] | None = None) -> list[Guest]:
    """Build what is missing and put every guest, or those named, in its place."""
    started = time.monotonic()
    guests = _chosen(only)
    compilers = {language: toolchain(language) for language in {guest.language for guest in guests}}
    cached = {
        guest: CACHE / f"{guest.name}-{digest(guest, compilers[guest.language])}.wasm"
        for guest in guests
    }
    if any(not path.exists() for path in cached.values()):
        with locked(CACHE, "another build of guests", _say):  # another clone may build the same
            missing = {guest: path for guest, path in cached.items() if not path.exists()}
            _build_rust({g: path for g, path in missing.items() if g.language == "Rust"})
            _build_python({g: path for g, path in missing.items() if g.language == "Python"})
            _build_javascript({g: p for g, p in missing.items() if g.language == "JavaScript"})
            for guest, path in missing.items():
                if path.exists():  # as new as its use: cargo may have had it from long ago
                    path.touch()
                _prune(guest)
    else:
        missing = {}
    ready = [guest for guest, path in cached.items() if path.exists()]
    for guest in ready:
        _place(cached[guest], guest.output)
    seconds = time.monotonic() - started
    built = sum(guest in missing for guest in ready)
    _say(f"{len(ready)} components ready, {built} built now, {seconds:.1f} s")
    return ready


def _build_rust(missing: dict[Guest, Path]) -> None:
    if not missing:
        return
    rust.need_target(_say)
    names = [guest.name for guest in missing]
    _say(f"compiling {', '.join(names)} (Rust)")
    built = rust.build(SOURCES, CACHE / "target", packages=names, locked=True)
    for guest, path in missing.items():
        _place(built[guest.folder], path)


def _build_python(missing: dict[Guest, Path]) -> None:
    if not missing:
        return
    _say(f"compiling {', '.join(guest.name for guest in missing)} (Python, about 5 s each)")
    python.installed(_say)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(_componentize, missing, missing.values()))


def _componentize(guest: Guest, path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    with whole(guest.folder / "wit", CACHE, CONTRACT) as wit:
        python.build(guest.folder, wit, temporary)
    temporary.replace(path)


def _build_javascript(missing: dict[Guest, Path]) -> None:
    if not missing:
        return
    names = ", ".join(guest.name for guest in missing)
    try:
        javascript.need_node()
    except ToolchainMissing as error:
        _say(f"left out {names}: {error}")
        for guest in missing:
            guest.output.unlink(missing_ok=True)  # of other sources
        return
    _say(f"compiling {names} (JavaScript)")
    for guest, path in missing.items():
        temporary = path.with_suffix(".tmp")
        with whole(guest.folder / "wit", CACHE, CONTRACT) as wit:
            javascript.build(guest.folder / "app.js", wit, temporary, say=_say)
        temporary.replace(path)


def _chosen(only: list[str] | None) -> list[Guest]:
    guests = discover()
    unknown = set(only or ()) - {guest.name for guest in guests}
    if unknown:
        known = ", ".join(guest.name for guest in guests)
        raise AuthoringError(f"no guest named {', '.join(sorted(unknown))}; there are {known}")
    return [guest for guest in guests if not only or guest.name in only]


def _files(folder: Path) -> list[Path]:
    skipped = {"target", "__pycache__"}
    return [
        file
        for file in folder.rglob("*")
        if file.is_file() and not skipped & set(file.relative_to(folder).parts)
    ]


def _place(source: Path, destination: Path) -> None:
    """Copy unless the copy is there already; a reader sees the old file or the new one."""
    wanted = source.stat()
    if destination.exists():
        present = destination.stat()
        if (present.st_size, present.st_mtime_ns) == (wanted.st_size, wanted.st_mtime_ns):
            return
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}")
    shutil.copy2(source, temporary)
    temporary.replace(destination)


def _prune(guest: Guest) -> None:
    builds = [
        path
        for path in CACHE.glob(f"{guest.name}-*.wasm")
        if re.fullmatch(r"[0-9a-f]{32}", path.stem.removeprefix(f"{guest.name}-"))
    ]
    builds.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in builds[KEPT_BUILDS:]:
        path.unlink(missing_ok=True)


def _say(text: str) -> None:
    print(f"guests: {text}", flush=True)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="build the guest components")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="build this one (repeatable)"
    )
    parser.add_argument("--list", action="store_true", help="list the guests and build nothing")
    arguments = parser.parse_args()
    try:
        if arguments.list:
            for guest in discover():
                print(f"{guest.name}\t{guest.language}")
        else:
            build(arguments.only)
    except (AuthoringError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        for note in getattr(error, "__notes__", ()):
            print(note, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("guests: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
