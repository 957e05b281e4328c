"""Libraries that components have in common: compiled once, kept once, checked as all that is."""

from __future__ import annotations

import itertools
import json
import logging
import os

import pytest

from airssys.wasm import Engine, InvalidComponent

#: So much code, which does nothing, is above the 64 KiB from which on a library is taken out.
PADDING = "i32.const 268435456 drop " * 10_000
#: What the libraries of the tests add: each test has its own, since a process has each code once.
NUMBERS = itertools.count(1)


def component(
    first: int, added: int, *, padding: str = PADDING, imports: str = "", head: str = ""
) -> bytes:
    """A component that answers `first + added`: a main module and a library.

    Args:
        first: What the data of the main module begins with: what differs between applications.
        added: What the library adds: what differs between libraries.
        padding: Code of the library that does nothing.
        imports: What else the library imports.
        head: What stands before the modules.
    """
    return f"""(component {head}
      (core module $main
        (memory (export "memory") 1)
        (global (export "base") i32 (i32.const 0))
        (table (export "table") 4 funcref)
        (func (export "offset") (result i32) i32.const 0)
        (data (i32.const 0) "\\{first:02x}"))
      (core module $library
        (import "env" "memory" (memory 1))
        (import "env" "base" (global $base i32))
        (import "env" "table" (table $table 1 funcref))
        (import "env" "offset" (func $offset (result i32))) {imports}
        (global $count (export "count") (mut i32) (i32.const 0))
        (func (export "answer") (result i32)
          (i32.load8_u (i32.add (call $offset) (global.get $base)))
          i32.const {added} i32.add {padding})
        (elem (i32.const 0) $offset))
      (core instance $m (instantiate $main))
      (core instance $l (instantiate $library (with "env" (instance $m))))
      (func (export "answer") (result u32) (canon lift (core func $l "answer"))))""".encode()


def answer(engine: Engine, content: bytes) -> int:
    return engine.load(content).instantiate()["answer"]()


def libraries(cache):
    return sorted(cache.glob("library-*.cwasm"))


def components(cache):
    return sorted({*cache.glob("*.cwasm")} - {*libraries(cache)})


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def added():
    return next(NUMBERS)


def test_a_library_is_compiled_and_kept_once_for_all_that_have_it(cache, added):
    engine = Engine(cache=cache)
    assert answer(engine, component(7, added)) == 7 + added
    assert (len(libraries(cache)), len(components(cache))) == (1, 1)
    kept = libraries(cache)[0].stat()
    assert answer(engine, component(9, added)) == 9 + added
    assert (len(libraries(cache)), len(components(cache))) == (1, 2)
    assert libraries(cache)[0].stat().st_mtime_ns == kept.st_mtime_ns
    assert answer(engine, component(9, added + 1)) == 9 + added + 1, "another library"
    assert len(libraries(cache)) == 2
    assert engine.load(component(7, added)).from_cache


def test_without_a_cache_there_is_nothing_kept_and_the_answer_is_the_same(cache, added):
    assert answer(Engine(cache=None), component(7, added)) == 7 + added
    assert not cache.exists()


def test_what_is_seen_of_a_component_is_what_it_is(cache, added):
    loaded = Engine(cache=cache).load(component(7, added))
    assert loaded.exports == ["answer"]
    assert loaded.imports == []
    assert "library" not in loaded.wit()


def test_a_small_library_stays_in_its_component(cache, added):
    assert answer(Engine(cache=cache), component(7, added, padding="")) == 7 + added
    assert not libraries(cache)


def test_a_library_after_a_core_type_stays_where_it_is(cache, added):
    content = component(7, added, head='(core type $t (module (import "env" "f" (func))))')
    assert answer(Engine(cache=cache), content) == 7 + added
    assert not libraries(cache)


def test_a_library_that_no_component_can_have_is_refused_as_before(cache, added):
    content = component(7, added, imports='(import "env" "offset" (func (result i32)))')
    with pytest.raises(InvalidComponent, match="offset"):
        Engine(cache=cache).load(content)
    assert not libraries(cache)


def test_a_mistake_in_a_library_is_told_as_of_the_component(cache, added):
    content = component(7, added).replace(b"i32.add (call", b"i64.add (call")
    with pytest.raises(InvalidComponent) as caught:
        Engine(cache=cache).load(content)
    assert "airssys-shared-library" not in str(caught.value)
    assert not cache.exists() or not libraries(cache)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "a flipped bit": flip,
    "a truncated artefact": lambda path: os.truncate(path, 1000),
    "a note of nothing": lambda path: path.with_suffix(".json").write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_library_is_reported_and_compiled_again(cache, added, caplog, damage):
    Engine(cache=cache).load(component(7, added))
    (library,) = libraries(cache)
    DAMAGE[damage](library)
    with caplog.at_level(logging.WARNING, "airssys.wasm"):
        loaded = Engine(cache=cache).load(component(7, added))
    assert not loaded.from_cache
    assert {record.name for record in caplog.records} == {"airssys.wasm"}
    assert all(library.name in record.getMessage() for record in caplog.records)
    assert caplog.records
    assert loaded.instantiate()["answer"]() == 7 + added
    del loaded
    caplog.clear()
    assert Engine(cache=cache).load(component(7, added)).from_cache, (
        "what was damaged is whole again"
    )
    assert not caplog.records


def test_the_code_of_another_library_is_not_taken(cache, added, caplog):
    both = (added, next(NUMBERS))
    for each in both:
        Engine(cache=cache).load(component(7, each))
    first, second = libraries(cache)
    for suffix in (".cwasm", ".json"):
        one, other = first.with_suffix(suffix), second.with_suffix(suffix)
        content = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(content)
    with caplog.at_level(logging.WARNING, "airssys.wasm"):
        for each in both:
            assert answer(Engine(cache=cache), component(7, each)) == 7 + each
    assert caplog.records


def test_an_entry_cannot_be_given_another_library(cache, added, caplog):
    """The names of its libraries are under the same seal as the code."""
    both = (added, next(NUMBERS))
    for each in both:
        Engine(cache=cache).load(component(7, each))
    notes = [path.with_suffix(".json") for path in components(cache)]
    first, second = (json.loads(note.read_text()) for note in notes)
    first["libraries"], second["libraries"] = second["libraries"], first["libraries"]
    for note, content in zip(notes, (first, second), strict=True):
        note.write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING, "airssys.wasm"):
        for each in both:
            assert answer(Engine(cache=cache), component(7, each)) == 7 + each
    assert len(caplog.records) == 2


def test_a_library_that_is_gone_is_compiled_again(cache, added):
    Engine(cache=cache).load(component(7, added))
    for path in cache.glob("library-*"):
        path.unlink()
    assert answer(Engine(cache=cache), component(7, added)) == 7 + added
    assert len(libraries(cache)) == 1


def test_instances_share_code_and_nothing_else(cache, added):
    content = component(7, added)
    one, other = (Engine(cache=cache).load(content) for _ in range(2))
    instances = [each.instantiate() for each in (one, other, one)]
    del one
    assert [each["answer"]() for each in instances] == [7 + added] * 3
