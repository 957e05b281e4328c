"""What differs between two components is seen to the last field, and who would break is named."""

from __future__ import annotations

import pytest

from airssys.wasm import DependencyRefused, Engine
from airssys.wasm.delivery.dependencies import check_imports
from airssys.wasm.delivery.interface import breaks, interface_difference

#: A record within a list within a record within an option.
EXPORTS = """
(component
  (type $inner' (record (field "at" {at}) (field "name" string)))
  (type $outer' (record (field "all" (list $inner'))))
  (component $shim
    (import "inner" (type $inner (eq $inner')))
    (type $all (record (field "all" (list $inner))))
    (import "outer" (type $outer (eq $all)))
    (import "f" (func $f (param "from" (option $outer)) (result u32)))
    (export $inner2 "inner" (type $inner))
    (type $all2 (record (field "all" (list $inner2))))
    (export $outer2 "outer" (type $outer) (type (eq $all2)))
    (export "count" (func $f) (func (param "from" (option $outer2)) (result u32))))
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "count") (param i32 i32 i32) (result i32) (i32.const {number})))
  (core instance $i (instantiate $m))
  (func $count (param "from" (option $outer')) (result u32)
    (canon lift (core func $i "count") (memory $i "memory") (realloc (func $i "realloc"))))
  (instance $api (instantiate $shim
    (with "inner" (type $inner')) (with "outer" (type $outer')) (with "f" (func $count))))
  (export "text:tokens/api@1.0.0" (instance $api)))
"""
IMPORTS = """
(component
  (import "text:tokens/api@1.0.0" (instance
    (type $inner' (record (field "at" {at}) (field "name" string)))
    (export "inner" (type $inner (eq $inner')))
    (type $outer' (record (field "all" (list $inner))))
    (export "outer" (type $outer (eq $outer')))
    (export "count" (func (param "from" (option $outer)) (result u32)))))
  (import "acme:crm/contacts@1.0.0" (instance (export "read" (func (result u32))))))
"""
COUNT = "text:tokens/api@1.0.0#count"


@pytest.fixture(scope="module")
def load():
    engine = Engine()

    def loaded(text, at, number=1):
        return engine.load(text.format(at=at, number=number).encode())

    return loaded


def test_a_field_deep_within_a_parameter_that_becomes_wider_is_a_change(load):
    before, after = load(EXPORTS, "u32"), load(EXPORTS, "u64")
    found = interface_difference(before, after)
    assert not found.compatible
    (change,) = found.changed
    assert change.path == COUNT
    assert "at: u32" in change.before
    assert "at: u64" in change.after
    assert interface_difference(before, load(EXPORTS, "u32", 2)).compatible


def test_who_imports_what_would_be_another_is_told_apart_from_who_does_not(load):
    before, same, after = (load(EXPORTS, at, n) for at, n in (("u32", 1), ("u32", 2), ("u64", 1)))
    user = load(IMPORTS, "u32")
    assert breaks(user, before, same) == ()
    (broken,) = breaks(user, before, after)
    assert broken.startswith(f"'{COUNT}' is (from: option<record {{ all: list<record {{ at: u64")
    assert "at: u32" in broken.rpartition(" and ")[2]
    # What it imports from somewhere else says nothing about this one.
    assert breaks(user, load(IMPORTS, "u64"), after) == ()


def test_a_function_that_is_gone_breaks_who_imports_it(load):
    before, user = load(EXPORTS, "u32"), load(IMPORTS, "u32")
    gone = Engine().load(b"(component)")
    with pytest.raises(
        DependencyRefused, match=rf"'text/search' imports what .*'{COUNT}' is gone; keep what"
    ) as refused:
        check_imports("text/tokens", before, gone, [("text/search", user)])
    assert refused.value.context["dependant"] == "text/search"
    check_imports("text/tokens", before, gone, [("text/other", gone)])
