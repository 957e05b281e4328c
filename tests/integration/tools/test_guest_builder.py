"""`tools/guests.py` on a small tree of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[3] / "tools"

pytestmark = pytest.mark.skipif(shutil.which("cargo") is None, reason="needs cargo")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one Rust guest, which needs no dependency."""
    guest = tmp_path / "components" / "tiny-guest"
    (guest / "src").mkdir(parents=True)
    (tmp_path / "tools").mkdir()
    shutil.copy(TOOLS / "guests.py", tmp_path / "tools")
    workspace = '[workspace]\nresolver = "3"\nmembers = ["*"]\n'
    (tmp_path / "components" / "Cargo.toml").write_text(workspace)
    package = '[package]\nname = "tiny-guest"\nversion = "0.1.0"\nedition = "2024"\n'
    (guest / "Cargo.toml").write_text(package + '[lib]\ncrate-type = ["cdylib"]\n')
    (guest / "src" / "lib.rs").write_text("")
    lock = 'version = 4\n\n[[package]]\nname = "tiny-guest"\nversion = "0.1.0"\n'
    (tmp_path / "components" / "Cargo.lock").write_text(lock)
    return tmp_path


def build(tree: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"XDG_CACHE_HOME": str(tree / "cache")}
    if path is not None:
        environment["PATH"] = path
    command = [sys.executable, str(tree / "tools" / "guests.py"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_builds_once_and_again_after_an_edit(tree: Path) -> None:
    output = tree / "build" / "components" / "tiny-guest.wasm"
    first = build(tree)
    assert "1 components ready, 1 built now" in first.stdout, first.stderr
    assert output.read_bytes()[:4] == b"\0asm"
    output.unlink()
    assert "0 built now" in build(tree).stdout
    assert output.exists()
    source = tree / "components" / "tiny-guest" / "src" / "lib.rs"
    source.write_text('#[unsafe(no_mangle)]\npub extern "C" fn edited() {}\n')
    before = output.read_bytes()
    assert "1 built now" in build(tree).stdout
    assert output.read_bytes() != before
    source.write_text("")
    assert "0 built now" in build(tree).stdout, "the earlier build is still in the cache"
    assert output.read_bytes() == before


def test_a_guest_that_does_not_compile_leaves_the_old_one(tree: Path) -> None:
    build(tree)
    output = tree / "build" / "components" / "tiny-guest.wasm"
    before = output.read_bytes()
    (tree / "components" / "tiny-guest" / "src" / "lib.rs").write_text("not Rust")
    failed = build(tree)
    assert failed.returncode == 1
    assert "error: cargo could not build" in failed.stderr
    assert output.read_bytes() == before


def test_a_missing_toolchain_is_one_clear_line(tree: Path) -> None:
    failed = build(tree, path="/nonexistent")
    assert failed.returncode == 1
    begin, _, remedy = failed.stderr.partition("; ")
    assert begin == "error: no cargo on PATH"
    assert remedy.endswith("then: rustup target add wasm32-wasip2\n")


def test_an_unknown_name_lists_the_known_ones(tree: Path) -> None:
    failed = build(tree, "--only", "tiny-gest")
    assert failed.returncode == 1
    assert failed.stderr.strip() == "error: no guest named tiny-gest; there are tiny-guest"


def test_a_guest_is_built_again_when_its_contract_or_shared_code_changes(tree: Path) -> None:
    core = tree / "wit" / "core"
    other = tree / "wit" / "other"
    shared = tree / "components" / "shared"
    guest = tree / "components" / "tiny-guest"
    for folder in (core, other, shared / "src", guest / "wit"):
        folder.mkdir(parents=True)
    (core / "core.wit").write_text("package airssys:core;\n")
    (other / "other.wit").write_text("package airssys:other;\n")
    world = "package tiny:guest;\nworld guest { import airssys:core/types; }\n"
    (guest / "wit" / "world.wit").write_text(world)
    package = '[package]\nname = "shared"\nversion = "0.1.0"\nedition = "2024"\n'
    (shared / "Cargo.toml").write_text(package)
    (shared / "src" / "lib.rs").write_text("")
    with (guest / "Cargo.toml").open("a") as manifest:
        manifest.write('[dependencies]\nshared.path = "../shared"\n')
    lock = tree / "components" / "Cargo.lock"
    text = 'version = 4\n\n[[package]]\nname = "shared"\nversion = "0.1.0"\n\n'
    text += '[[package]]\nname = "tiny-guest"\nversion = "0.1.0"\ndependencies = ["shared"]\n'
    lock.write_text(text)
    first = build(tree)
    assert "1 components ready, 1 built now" in first.stdout, first.stderr
    (other / "other.wit").write_text("package airssys:other;\n// edited\n")
    assert "0 built now" in build(tree).stdout, "its world does not name that package"
    (core / "core.wit").write_text("package airssys:core;\n// edited\n")
    assert "1 built now" in build(tree).stdout
    (shared / "src" / "lib.rs").write_text("pub fn edited() {}\n")
    assert "1 built now" in build(tree).stdout


def test_without_node_only_the_javascript_guests_are_left_out(tree: Path) -> None:
    script = tree / "components" / "tiny-script"
    (script / "wit").mkdir(parents=True)
    (script / "wit" / "world.wit").write_text("package tiny:script;\nworld script {}\n")
    (script / "app.js").write_text("")
    with (tree / "components" / "Cargo.toml").open("a") as workspace:
        workspace.write('exclude = ["tiny-script"]\n')
    build(tree, "--only", "tiny-guest")
    programs = tree / "programs"
    programs.mkdir()
    for name in ("cargo", "rustc"):
        (programs / name).symlink_to(shutil.which(name) or "")
    done = build(tree, path=str(programs))
    assert done.returncode == 0, done.stderr
    left_out = "guests: left out tiny-script: no node on PATH; install Node.js 20 or later"
    assert left_out in done.stdout.splitlines()
    assert "1 components ready, 0 built now" in done.stdout
    assert not (tree / "build" / "components" / "tiny-script.wasm").exists()
