"""What `Engine.load` refuses, what it caches, and what it believes of what it finds there."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from airssys.wasm import ComponentTooLarge, Engine, InvalidComponent

ROOT = Path(__file__).parents[3]
GUESTS = ROOT / "build" / "components"
TEXTS = ROOT / "components" / "wat"
CALCULATOR = GUESTS / "calculator.wasm"


def entry(cache: Path) -> tuple[Path, Path]:
    """The artefact and the note of the only component in a cache."""
    (artefact,) = cache.glob("*.cwasm")
    return artefact, artefact.with_suffix(".json")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"", "expected a component"),
        (b"\x7fELF\x02\x01\x01" + bytes(100), "expected a component"),
        (b"\0asm", "component"),
        (b"\0asm\x0d\0\x01\0" + b"\xff" * 100, "component"),
        (b"(component", "component"),
        (b"(component (kernel))", "component"),
        (b'(component (export "x" (func 3)))', "component"),
        (b"\xff\xfe(component)", "expected a component"),
    ],
)
def test_what_is_no_component(source, words) -> None:
    with pytest.raises(InvalidComponent, match=words) as caught:
        Engine(cache=None).load(source)
    assert caught.value.reason is None
    assert caught.value.__notes__ == [f"while loading {len(source)} bytes"]


@pytest.mark.parametrize("part", range(1, 16))
def test_a_truncated_component(part) -> None:
    whole = CALCULATOR.read_bytes()
    with pytest.raises(InvalidComponent):
        Engine(cache=None).load(whole[: len(whole) * part // 16])


def test_a_core_module_says_how_to_make_a_component() -> None:
    path = TEXTS / "core-module.wat"
    with pytest.raises(InvalidComponent, match="wasm-tools component new") as caught:
        Engine(cache=None).load(path)
    assert caught.value.reason == "core-module"
    assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(InvalidComponent) as of_binary:
        Engine(cache=None).load(b"\0asm\x01\0\0\0")
    assert of_binary.value.reason == "core-module"


def test_files_that_cannot_be_read(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        Engine(cache=None).load(tmp_path / "missing.wasm")
    with pytest.raises(IsADirectoryError):
        Engine(cache=None).load(tmp_path)


def test_a_cache_that_is_a_file(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"exist|directory"):
        Engine(cache=tmp_path / "file")


@pytest.mark.parametrize(
    ("what", "most"), [("bytes", 1000), ("functions", 1), ("exports", 1), ("modules", 0)]
)
def test_a_component_over_a_static_limit(what, most) -> None:
    with pytest.raises(ComponentTooLarge) as caught:
        Engine(cache=None).load(CALCULATOR, static_limits={what: most})
    assert caught.value.most == most
    assert caught.value.found > most
    assert what.rstrip("s") in caught.value.what
    assert str(caught.value.found) in str(caught.value)


@pytest.mark.parametrize(
    ("what", "most"),
    [
        ("bytes", 1000),
        ("functions", 1),
        ("imports", 0),
        ("exports", 1),
        ("types", 1),
        ("modules", 0),
    ],
)
def test_a_static_limit_holds_for_compiled_code_in_the_cache_too(tmp_path, what, most) -> None:
    source = GUESTS / "host-calls.wasm"
    engine = Engine(cache=tmp_path)
    engine.load(source)
    with pytest.raises(ComponentTooLarge) as caught:
        engine.load(source, static_limits={what: most})
    assert caught.value.most == most
    assert caught.value.found > most
    assert engine.load(source).from_cache


def test_an_unknown_static_limit_is_refused() -> None:
    with pytest.raises(TypeError, match="elephants"):
        Engine(cache=None).load(CALCULATOR, static_limits={"elephants": 1})


def test_the_second_load_comes_from_the_cache(tmp_path) -> None:
    first = Engine(cache=tmp_path).load(CALCULATOR)
    second = Engine(cache=tmp_path).load(CALCULATOR.read_bytes())
    assert (first.from_cache, second.from_cache) == (False, True)
    assert second.digest == first.digest
    assert (second.imports, second.exports) == (first.imports, first.exports)
    assert second.instantiate()["add"](2, 3) == 5
    assert not Engine(cache=None).load(CALCULATOR).from_cache


def test_the_cache_is_for_this_user_alone(tmp_path) -> None:
    cache = tmp_path / "deep" / "cache"
    Engine(cache=cache).load(CALCULATOR)
    assert cache.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in cache.iterdir()} == {0o600}
    assert len(list(cache.iterdir())) == 3, "the key, the artefact, its note, nothing else"


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def forge_contents(cache: Path) -> None:
    note = entry(cache)[1]
    read = json.loads(note.read_text())
    assert read["contents"]
    name, value = next((n, v) for n, v in read["contents"].items() if isinstance(v, int))
    read["contents"][name] = value + 1
    note.write_text(json.dumps(read))


def take_foreign_entry(cache: Path) -> None:
    """An entry that was made under another key."""
    other = cache.parent / "other"
    Engine(cache=other).load(CALCULATOR)
    for path in entry(other):
        shutil.copy(path, cache / path.name)


def swap_with_another_component(cache: Path) -> None:
    """A whole, authentic entry under another component's name."""
    wanted = entry(cache)
    Engine(cache=cache).load(GUESTS / "calculator-2.wasm")
    (other,) = [path for path in cache.glob("*.cwasm") if path != wanted[0]]
    for mine, theirs in zip(wanted, (other, other.with_suffix(".json")), strict=True):
        theirs.replace(mine)


DAMAGE = {
    "a flipped bit at the beginning": lambda cache: flip(entry(cache)[0], 0),
    "a flipped bit in the middle": lambda cache: flip(
        entry(cache)[0], entry(cache)[0].stat().st_size // 2
    ),
    "a flipped bit at the end": lambda cache: flip(entry(cache)[0], -1),
    "a truncated artefact": lambda cache: os.truncate(entry(cache)[0], 1000),
    "an empty artefact": lambda cache: os.truncate(entry(cache)[0], 0),
    "a missing artefact": lambda cache: entry(cache)[0].unlink(),
    "a truncated note": lambda cache: os.truncate(entry(cache)[1], 20),
    "an empty note": lambda cache: os.truncate(entry(cache)[1], 0),
    "a note of other contents": forge_contents,
    "an entry under another key": take_foreign_entry,
    "another component's entry": swap_with_another_component,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_reported_and_compiled_again(tmp_path, caplog, damage) -> None:
    cache = tmp_path / "cache"
    Engine(cache=cache).load(CALCULATOR)
    (mine,) = {path.name for path in cache.glob("*.cwasm")}
    DAMAGE[damage](cache)
    with caplog.at_level(logging.WARNING, "airssys.wasm"):
        component = Engine(cache=cache).load(CALCULATOR)
    assert not component.from_cache
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("airssys.wasm", "WARNING")
    assert mine in record.getMessage()
    assert component.instantiate()["version"]().startswith("1.")
    caplog.clear()
    assert Engine(cache=cache).load(CALCULATOR).from_cache, "what was damaged is whole again"
    assert not caplog.records


def test_a_lost_note_is_a_miss(tmp_path) -> None:
    Engine(cache=tmp_path).load(CALCULATOR)
    entry(tmp_path)[1].unlink()
    assert not Engine(cache=tmp_path).load(CALCULATOR).from_cache
    assert Engine(cache=tmp_path).load(CALCULATOR).from_cache


def python(source: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", source, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def test_processes_that_load_into_one_new_cache_at_once(tmp_path) -> None:
    source = """
import sys
from airssys.wasm import Engine
print("ready", flush=True)
sys.stdin.readline()
component = Engine(cache=sys.argv[1]).load(sys.argv[2])
print(component.instantiate()["add"](1, 2))
"""
    cache = tmp_path / "cache"
    processes = [python(source, cache, CALCULATOR) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, output, errors) == (0, "3\n", "")
    assert len(list(cache.iterdir())) == 3, "no temporary file is left"
    assert Engine(cache=cache).load(CALCULATOR).from_cache


def test_ctrl_c_in_a_long_compilation_leaves_no_child() -> None:
    """Many functions keep the compiling child busy for longer than a signal takes."""
    source = """
import sys
from airssys.wasm import Engine
body = "(i32.add (local.get 0) (i32.const 1))"
for _ in range(9):
    body = f"(i32.mul {body} {body})"
functions = "".join(f'(func (param i32) (result i32) {body})' for _ in range(400))
text = f"(component (core module {functions}))".encode()
print("begins", flush=True)
try:
    Engine(cache=None).load(text)
except KeyboardInterrupt:
    print("interrupted", flush=True)
sys.stdin.readline()
"""
    process = python(source)
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    parent = psutil.Process(process.pid)
    children: list[psutil.Process] = []
    while not children:
        assert process.poll() is None, process.communicate()
        children = parent.children(recursive=True)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted\n"
    assert parent.children(recursive=True) == []
    assert not any(child.is_running() for child in children)
    _, errors = process.communicate("\n", timeout=30)
    assert (process.returncode, errors) == (0, "")
