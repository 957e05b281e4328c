"""What `airssys build` does and leaves alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from airssys.authoring import BuildFailed, NoProject, NotWritten, WitError, build, new_project
from airssys.authoring.languages import rust
from airssys.wasm import Engine
from airssys.wasm.host_errors import InvalidDeploymentName
from airssys.wasm.manifest import embedded_manifest

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("cargo") is None, reason="needs cargo"),
]


def test_the_component_carries_its_manifest_and_exports_its_world(project):
    folder = project("rust")
    content = (folder / "build" / "component.wasm").read_bytes()
    assert embedded_manifest(content).component.name == "local/greeter"
    assert Engine().load(content).exports == ["greet"]


def test_nothing_changed_compiles_nothing(project):
    folder = project("rust")
    before = (folder / "build" / "component.wasm").stat().st_mtime_ns
    assert not build(folder).changed
    (folder / "README.md").touch()  # looks other, and is not
    assert not build(folder).changed
    assert (folder / "build" / "component.wasm").stat().st_mtime_ns == before


#: Tells what a build starts, opens and imports.
WATCHED = """
import sys
from pathlib import Path

seen = {"started": [], "opened": []}

def watch(event, arguments):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "os.system"):
        seen["started"].append(str(arguments[0]))
    elif event == "open" and isinstance(arguments[0], (str, bytes)):
        seen["opened"].append(str(arguments[0]))

sys.addaudithook(watch)
"""
IN_PROCESS = """
from airssys.authoring import build
assert build(Path.cwd()).changed is CHANGED
"""
BY_COMMAND = """
from airssys.cli import main
try:
    main(["build"])
except SystemExit as end:
    assert end.code == 0
"""


@pytest.mark.parametrize("way", [IN_PROCESS, BY_COMMAND], ids=["in process", "by command"])
@pytest.mark.parametrize("changed", [False, True], ids=["as it was", "changed"])
def test_nothing_changed_starts_reads_and_imports_nothing_that_compiles(project, way, changed):
    folder = project("rust")
    if changed:  # what is watched for does happen then
        (folder / "build" / ".stamp.json").unlink()
    told = "import json; seen['modules'] = sorted(sys.modules); print(json.dumps(seen))"
    code = WATCHED + way.replace("CHANGED", str(changed)) + told
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=folder,
    )
    seen = json.loads(done.stdout)
    parts = [Path(each) for each in seen["opened"]]
    sources = [each for each in parts if each.is_relative_to(folder) and "build" not in each.parts]
    compiles = {"airssys._core", "airssys.authoring.wit", "airssys.wasm.manifest"}
    if changed:
        assert seen["started"]
        assert folder / "wit" / "world.wit" in sources
        assert compiles <= set(seen["modules"])
    else:
        assert seen["started"] == []
        assert sources == []
        assert not compiles & set(seen["modules"])


def test_an_edit_is_built_and_a_failed_one_leaves_what_was(project):
    folder = project("rust")
    source, output = folder / "src" / "lib.rs", folder / "build" / "component.wasm"
    first, text = output.read_bytes(), source.read_text()
    source.write_text(text.replace("Hello", "Hi"))
    assert build(folder).changed
    second = output.read_bytes()
    assert second != first
    source.write_text("no Rust")
    with pytest.raises(BuildFailed, match="cargo could not build") as caught:
        build(folder)
    assert "src/lib.rs" in "".join(caught.value.__notes__)
    assert output.read_bytes() == second
    assert [
        each.name for each in (folder / "build").iterdir() if each.name.startswith(".making")
    ] == []
    source.write_text(text)
    build(folder)
    assert output.read_bytes() == first, "the same source gives the same digest"


def test_the_same_source_gives_the_same_digest_in_another_place(project, tmp_path):
    folder = project("rust")
    other = tmp_path / "a path with spaces" / "日本語"
    other.mkdir(parents=True)
    moved = other / "greeter"
    shutil.copytree(folder, moved, ignore=shutil.ignore_patterns("build", "target"))
    assert build(moved).digest == build(folder).digest


def test_a_mistake_in_wit_has_its_place(project):
    folder = project("rust")
    world = folder / "wit" / "world.wit"
    world.write_text(
        "package local:greeter;\n\nworld greeter {\n  export greet: func(name: nosuch);\n}\n"
    )
    with pytest.raises(WitError) as caught:
        build(folder)
    assert caught.value.summary.startswith(f"{world}:4:28: ")
    assert "nosuch" in caught.value.summary
    assert caught.value.context["line"] == 4


def test_a_world_that_is_not_there_is_named(project):
    folder = project("rust")
    manifest = folder / "Component.toml"
    manifest.write_text(manifest.read_text().replace('world = "greeter"', 'world = "other"'))
    with pytest.raises(WitError, match="other"):
        build(folder)


def test_a_missing_toolchain_is_named_with_what_to_do(airssys, project, tmp_path):
    folder = project("rust")
    (folder / "src" / "lib.rs").write_text("// edited\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    done = airssys("build", cwd=folder, PATH=str(empty))
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()[-2:]
    assert error == "error: no cargo on PATH"
    assert hint.endswith("then: rustup target add wasm32-wasip2")


@pytest.fixture
def slow_cargo(tmp_path):
    """A directory for PATH whose cargo never ends, and a pipe that tells when it runs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    started = tmp_path / "started"
    os.mkfifo(started)
    cargo = programs / "cargo"
    cargo.write_text(f"#!/bin/sh\necho $$ > '{started}'\nexec sleep 600\n")
    cargo.chmod(0o755)
    return f"{programs}{os.pathsep}{os.environ['PATH']}", started


def test_an_interrupt_ends_the_compiler_and_leaves_nothing(project, slow_cargo):
    path, started = slow_cargo
    folder = project("rust")
    (folder / "src" / "lib.rs").write_text("// edited\n")
    before = sorted((folder / "build").iterdir())
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PATH": path,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", "from airssys.cli import main; main()", "build"],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    compiler = int(started.read_text())  # waits until it runs
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert sorted((folder / "build").iterdir()) == before
    assert not Path(f"/proc/{compiler}").exists()


def test_two_builds_at_once_compile_once(project):
    folder = project("rust")
    source = folder / "src" / "lib.rs"
    source.write_text(source.read_text().replace("Hello", "Welcome"))
    built = []
    threads = [threading.Thread(target=lambda: built.append(build(folder))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.changed for each in built) == [False, True]
    assert len({each.digest for each in built}) == 1


def test_a_damaged_stamp_is_a_reason_to_build(project):
    folder = project("rust")
    (folder / "build" / ".stamp.json").write_text("{")
    assert build(folder).changed


def test_what_is_no_project_says_what_makes_one(tmp_path, airssys):
    done = airssys("build")
    assert done.returncode == 1
    assert "no Component.toml in" in done.stderr
    assert "airssys new NAME --lang python" in done.stderr
    with pytest.raises(NoProject, match=r"no Component\.toml"):
        build(tmp_path)


def test_a_mistake_in_the_manifest_has_its_place(project):
    folder = project("rust")
    with (folder / "Component.toml").open("a") as manifest:
        manifest.write("[nedds]\n")
    from airssys.wasm.manifest import ManifestError

    with pytest.raises(ManifestError, match=r"Component\.toml:\d+:\d+: "):
        build(folder)


def test_new_refuses_what_would_overwrite_and_what_is_no_name(tmp_path):
    new_project("acme/greeter", language="python", into=tmp_path)
    with pytest.raises(NotWritten, match="exists"):
        new_project("greeter", language="rust", into=tmp_path)
    with pytest.raises(NotWritten, match="no template 'functon'"):
        new_project("other", language="rust", template="functon", into=tmp_path)
    with pytest.raises(InvalidDeploymentName):
        new_project("../other", language="rust", into=tmp_path)
    with pytest.raises(InvalidDeploymentName, match=r"'Hello' is no name.*did you mean hello\?"):
        new_project("Hello", language="rust", into=tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["greeter"]
    manifest = (tmp_path / "greeter" / "Component.toml").read_text()
    assert 'name = "acme/greeter"' in manifest


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--lang", "pyton"), "no language 'pyton'\nhint: did you mean python? there is python, "),
        (("--lang", "c", "--template", "htp"), "no template 'htp'\nhint: did you mean http? "),
        ((), "no language was named\nhint: there is python, "),
    ],
)
def test_new_names_the_nearest_that_there_is(airssys, given, told):
    done = airssys("new", "hello", *given)
    assert done.returncode == 2
    assert f"error: {told}" in done.stderr


def test_the_report_says_what_makes_it_large(airssys, project):
    done = airssys("build", "--json", cwd=project("rust"))
    report = json.loads(done.stdout)
    assert sum(report["parts"].values()) == report["size"] - 8


def test_a_component_does_not_show_where_its_guest_library_is(tmp_path, monkeypatch):
    """Built by two installations of the package, in two folders: the same digest."""
    digests = []
    for name in ("one", "another place"):
        library = tmp_path / name / "library"
        shutil.copytree(rust.SDK, library)
        monkeypatch.setattr(rust, "SDK", library)
        into = tmp_path / name / "projects"
        folder = new_project("greeter", language="rust", template="service", into=into)
        built = build(folder, force=True)
        digests.append(built.digest)
        assert str(tmp_path).encode() not in built.component.read_bytes()
    assert digests[0] == digests[1]
