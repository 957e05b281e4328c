"""Build the guest components of `components/` into `build/components/<name>.wasm`.

Usage: `python tools/guests.py [--only NAME]... [--list]`.

A folder with a `Cargo.toml` is a Rust guest, one with an `app.py` or an `app.js` and a `wit/` a
Python or JavaScript guest. Worlds that include packages of the project get them from `wit/` of the
repository. What was built is kept under a hash of its sources and its toolchain in
`${XDG_CACHE_HOME:-~/.cache}/airssys/guests`, so that nothing is built twice, in whatever clone.
Without Node.js the JavaScript guests are left out, with a line that says so.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import guest_javascript

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "components"
CONTRACT = ROOT / "wit"
OUTPUT = ROOT / "build" / "components"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airssys" / "guests"
TARGET = "wasm32-wasip2"
KEPT_BUILDS = 8  # of one guest; clones at different commits share the cache
Language = Literal["Rust", "Python", "JavaScript"]


class GuestError(Exception):
    """Say in one line what prevents a guest from being built, and what to do."""


@dataclass(frozen=True, slots=True)
class Guest:
    """One folder of `components/`."""

    name: str
    language: Language

    @property
    def folder(self) -> Path:
        """Where its sources are."""
        return SOURCES / self.name

    @property
    def output(self) -> Path:
        """Where the built component belongs."""
        return OUTPUT / f"{self.name}.wasm"

    @property
    def packages(self) -> list[Path]:
        """The folders of the project's WIT packages that its world needs, needed ones first."""
        found: list[Path] = []
        _needed_by(self.folder / "wit", found)
        return found[:-1]


def _needed_by(folder: Path, found: list[Path]) -> None:
    texts = [file.read_text("utf-8") for file in sorted(folder.glob("*.wit"))]
    for name in sorted(set(re.findall(r"\bairssys:([a-z-]+)/", "\n".join(texts)))):
        package = CONTRACT / name
        if package != folder and package not in found:
            _needed_by(package, found)
    found.append(folder)


def discover() -> list[Guest]:
    """List the guests that `components/` holds, by name."""
    found = []
    for folder in sorted(SOURCES.iterdir()):
        if (folder / "Cargo.toml").is_file():
            if _is_shared(folder):
                continue
            found.append(Guest(folder.name, "Rust"))
        elif (folder / "app.py").is_file() and (folder / "wit").is_dir():
            found.append(Guest(folder.name, "Python"))
        elif (folder / "app.js").is_file() and (folder / "wit").is_dir():
            found.append(Guest(folder.name, "JavaScript"))
    return found


def _is_shared(folder: Path) -> bool:
    """Tell whether a crate is code that guests share, not a guest."""
    manifest = (folder / "Cargo.toml").read_text("utf-8")
    return "cdylib" not in manifest and not (folder / "src" / "main.rs").exists()


def toolchain(language: Language) -> str:
    """Name the compiler and its version, which a cached build depends on."""
    if language == "JavaScript":
        return guest_javascript.toolchain()
    if language == "Python":
        try:
            return "componentize-py " + importlib.metadata.version("componentize-py")
        except importlib.metadata.PackageNotFoundError:
            message = "componentize-py is not installed; `make setup` installs it in .venv"
            raise GuestError(message) from None
    if shutil.which("cargo") is None or shutil.which("rustc") is None:
        message = "no cargo on PATH; install Rust by rustup, then: rustup target add " + TARGET
        raise GuestError(message)
    return _run(["rustc", "--version"], cwd=SOURCES).stdout.strip()


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
        with _locked():  # another clone may build the same
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
    _need_target()
    names = [guest.name for guest in missing]
    _say(f"compiling {', '.join(names)} (Rust)")
    target = CACHE / "target"
    packages = [argument for name in names for argument in ("--package", name)]
    # Flags meant for the native module do not suit WebAssembly.
    unwanted = {"RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"}
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    command = ["cargo", "build", "--quiet", "--locked", "--release", "--target", TARGET]
    command += ["--target-dir", str(target), *packages]
    if subprocess.run(command, cwd=SOURCES, env=environment, check=False).returncode:
        raise GuestError("cargo could not build the Rust guests; its messages are above")
    built = target / TARGET / "release"
    for guest, path in missing.items():
        library = (guest.folder / "src" / "lib.rs").exists()
        stem = guest.name.replace("-", "_") if library else guest.name
        _place(built / f"{stem}.wasm", path)


def _build_python(missing: dict[Guest, Path]) -> None:
    if not missing:
        return
    _say(f"compiling {', '.join(guest.name for guest in missing)} (Python, about 5 s each)")
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(_componentize, missing, missing.values()))


def _componentize(guest: Guest, path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    tool = Path(sys.executable).with_name("componentize-py")
    with _whole_wit(guest) as wit:
        command = [str(tool), "-d", str(wit), "componentize", "app", "-o", str(temporary)]
        _run(command, cwd=guest.folder)
    temporary.replace(path)


def _build_javascript(missing: dict[Guest, Path]) -> None:
    if not missing:
        return
    names = ", ".join(guest.name for guest in missing)
    _say(f"compiling {names} (JavaScript)")
    try:
        for guest, path in missing.items():
            with _whole_wit(guest) as wit:
                guest_javascript.build(guest.folder, wit, path, CACHE)
    except guest_javascript.NoNodeError as error:
        _say(f"left out {names}: {error}")
        for guest in missing:
            guest.output.unlink(missing_ok=True)  # of other sources
    except RuntimeError as error:
        raise GuestError(str(error)) from None


@contextmanager
def _whole_wit(guest: Guest) -> Iterator[Path]:
    """Lay a guest's world and the packages it needs out in one folder, as their tools want it."""
    with tempfile.TemporaryDirectory() as scratch:
        wit = Path(scratch) / "wit"
        shutil.copytree(guest.folder / "wit", wit)
        for package in guest.packages:
            shutil.copytree(package, wit / "deps" / package.name)
        yield wit


def _need_target() -> None:
    sysroot = Path(_run(["rustc", "--print", "sysroot"], cwd=SOURCES).stdout.strip())
    if (sysroot / "lib" / "rustlib" / TARGET).is_dir():
        return
    remedy = f"add it with: rustup target add {TARGET}"
    if shutil.which("rustup") is None:
        raise GuestError(
            f"the Rust target {TARGET} is not installed and rustup is missing; {remedy}"
        )
    _say(f"adding the Rust target {TARGET}")
    if subprocess.run(["rustup", "target", "add", TARGET], check=False).returncode:
        raise GuestError(f"rustup could not add the target {TARGET}; {remedy}")


def _chosen(only: list[str] | None) -> list[Guest]:
    guests = discover()
    unknown = set(only or ()) - {guest.name for guest in guests}
    if unknown:
        known = ", ".join(guest.name for guest in guests)
        raise GuestError(f"no guest named {', '.join(sorted(unknown))}; there are {known}")
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


@contextmanager
def _locked() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another build of guests")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], *, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode:
        tail = (done.stderr or done.stdout).strip()
        raise GuestError(f"`{' '.join(command)}` failed:\n{tail}")
    return done


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
    except (GuestError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("guests: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
