"""Building Rust crates for `wasm32-wasip2`."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.authoring.commands import run
from airssys.authoring.errors import BuildFailed, ToolchainMissing
from airssys.authoring.places import put, scratch, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TARGET", "build", "need_target", "toolchain"]

_HERE: Final = Path(__file__).resolve().parent
#: The guest library, and where projects that depend on it get it from.
LIBRARY: Final = "airssys-component"
SDK: Final = _HERE.parent / "sdk" / "rust"
TARGET: Final = "wasm32-wasip2"
#: The time of the files of the guest library: any in the past, and the same for each copy.
_THEN: Final = 1_000_000_000
_RUSTUP: Final = "https://rustup.rs"
#: Flags meant for other code do not suit WebAssembly.
_UNWANTED: Final = {"RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"}


def toolchain() -> str:
    """Name the compiler, which a build depends on.

    Raises:
        ToolchainMissing: There is no Rust here.
    """
    _need_cargo()
    return run(["rustc", "--version"], cwd=Path.cwd()).strip()


def _need_cargo() -> None:
    if shutil.which("cargo") is None or shutil.which("rustc") is None:
        raise ToolchainMissing(
            "no cargo on PATH",
            hint=f"install Rust by rustup ({_RUSTUP}), then: rustup target add {TARGET}",
        )


def need_target(say: Callable[[str], None] = silent) -> None:
    """Add the target to the user's toolchain, saying so, unless it is there.

    Raises:
        ToolchainMissing: It is not there, and there is no rustup, or rustup could not add it.
    """
    _need_cargo()
    sysroot = Path(run(["rustc", "--print", "sysroot"], cwd=Path.cwd()).strip())
    if (sysroot / "lib" / "rustlib" / TARGET).is_dir():
        return
    command = f"rustup target add {TARGET}"
    if shutil.which("rustup") is None:
        raise ToolchainMissing(
            f"the Rust target {TARGET} is not installed and rustup is missing",
            hint=f"install Rust by rustup ({_RUSTUP}), then: {command}",
        )
    say(f"adding the Rust target {TARGET}: {command}")
    try:
        run(command.split(), cwd=Path.cwd())
    except BuildFailed as error:
        missing = ToolchainMissing(
            f"rustup could not add the target {TARGET}", hint=f"add it with: {command}"
        )
        for note in error.__notes__:
            missing.add_note(note)
        raise missing from error


def _forget(folder: Path, target: Path, packages: Sequence[str]) -> None:
    """Let cargo compile these packages anew; what they depend on it keeps.

    Cargo goes by the time of a file and the name of its package. Another project of that name, or
    an older file put back, would get what was compiled before.
    """
    marks = target / TARGET / "release" / ".fingerprint"
    if not marks.is_dir():
        return
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline"]
    told = json.loads(run(command, cwd=folder, failed="cargo cannot read Cargo.toml"))
    names = {package["name"] for package in told["packages"]}
    names &= set(packages) or names
    for mark in marks.iterdir():  # not `cargo clean`, which wants the whole registry to be known
        name, _, number = mark.name.rpartition("-")
        if name in names and re.fullmatch(r"[0-9a-f]{16}", number):
            shutil.rmtree(mark)


def _library_in(folder: Path) -> Path:
    """Copy the guest library into a project, and return the copy.

    What cargo names after the place of a package gets into the code. A place within the project
    is named relative to it, so a component is the same wherever the two of them are. The copy is
    named by its content and has the same times everywhere, or cargo would take one version for
    another where projects share what was compiled.
    """
    content = {
        file.relative_to(SDK): file.read_bytes() for file in SDK.rglob("*") if file.is_file()
    }
    total = hashlib.sha256()
    for name in sorted(content):
        total.update(f"{name.as_posix()} {len(content[name])}\n".encode() + content[name])
    library = folder / "build" / f"{LIBRARY}-{total.hexdigest()[:16]}"
    if library.is_dir():
        return library
    for old in library.parent.glob(f"{LIBRARY}-*"):
        shutil.rmtree(old)
    with scratch(library.parent) as making:
        copy = making / LIBRARY
        for name, text in content.items():
            put(text, copy / name)
            os.utime(copy / name, (_THEN, _THEN))
        copy.replace(library)
    return library


def build(
    folder: Path,
    target: Path,
    *,
    packages: Sequence[str] = (),
    locked: bool | None = None,
) -> dict[Path, Path]:
    """Build crates, and return the component of each by the folder of its crate.

    Args:
        folder: The crate, or the workspace.
        target: Where cargo keeps what it compiled. Projects that share it compile what they share
            once; whoever calls holds a lock until the components are copied.
        packages: Which packages of a workspace.
        locked: Whether the lock file must be there and fit; by default if it is there.

    Raises:
        BuildFailed: The compiler refused; its words are notes.
    """
    command = ["cargo", "build", "--release", "--target", TARGET, "--target-dir", str(target)]
    command += ["--message-format", "json-render-diagnostics"]
    if locked if locked is not None else (folder / "Cargo.lock").exists():
        command.append("--locked")
    _forget(folder, target, packages)
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    # No path of this machine gets into a component: the same source gives the same digest.
    remapped = [f"--remap-path-prefix={home}=cargo"]
    if LIBRARY in (folder / "Cargo.toml").read_text("utf-8"):
        library = json.dumps(str(_library_in(folder)))
        command += ["--config", f"patch.crates-io.{LIBRARY}.path={library}"]
    command += ["--config", f"target.{TARGET}.rustflags={json.dumps(remapped)}"]
    command += [word for name in packages for word in ("--package", name)]
    environment = {key: value for key, value in os.environ.items() if key not in _UNWANTED}
    told = run(
        command, cwd=folder, env=environment, failed="cargo could not build; its messages are above"
    )
    built: dict[Path, Path] = {}
    for line in told.splitlines():
        message = json.loads(line)
        if message.get("reason") != "compiler-artifact":
            continue
        for file in map(Path, message["filenames"]):
            if file.suffix == ".wasm":
                built[Path(message["manifest_path"]).parent] = file
    return built
