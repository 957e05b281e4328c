"""Components in text form that behave as a rollout may meet them; all of them add two numbers."""

from __future__ import annotations

__all__ = ["adder", "wants_rights", "with_other_interface"]

ADD = "(i32.add (local.get 0) (local.get 1))"


def adder(
    version: int,
    *,
    traps_every: int = 0,
    loops: int = 0,
    grows: bool = False,
    start: str = "",
    answer: str = ADD,
) -> bytes:
    """Return a component with `add` and `version`.

    Args:
        version: What `version` answers; makes the bytes differ.
        traps_every: The n-th call of an instance traps.
        loops: Turns of an idle loop in every call.
        grows: Every call keeps a page of memory.
        start: What the instance does when it starts.
        answer: What `add` answers.
    """
    return f"""
    (component
      (core module $m
        (memory 1)
        (global $calls (mut i32) (i32.const 0))
        (func $start {start})
        (start $start)
        (func (export "version") (result i32) (i32.const {version}))
        (func (export "add") (param i32 i32) (result i32)
          (local $turns i32)
          (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
          {"(drop (memory.grow (i32.const 1)))" if grows else ""}
          (local.set $turns (i32.const {loops}))
          (block $done
            (loop $again
              (br_if $done (i32.eqz (local.get $turns)))
              (local.set $turns (i32.sub (local.get $turns) (i32.const 1)))
              (br $again)))
          (if (i32.const {int(traps_every > 0)})
            (then (if (i32.eqz (i32.rem_u (global.get $calls) (i32.const {max(1, traps_every)})))
              (then unreachable))))
          {answer}))
      (core instance $i (instantiate $m))
      (func (export "version") (result u32) (canon lift (core func $i "version")))
      (func (export "add") (param "a" u32) (param "b" u32) (result u32)
        (canon lift (core func $i "add"))))
    """.encode()


def with_other_interface(version: int) -> bytes:
    """Return a component that adds 64-bit numbers and says nothing of its version."""
    return f"""
    (component
      (core module $m
        (func (export "add") (param i64 i64) (result i64)
          (i64.add (i64.add (local.get 0) (local.get 1)) (i64.const {version - version}))))
      (core instance $i (instantiate $m))
      (func (export "add") (param "a" u64) (param "b" u64) (result u64)
        (canon lift (core func $i "add"))))
    """.encode()


def wants_rights() -> bytes:
    """Return a component that imports what nobody provides."""
    return b"""
    (component
      (import "acme:crm/contacts" (instance (export "read" (func (result u32))))))
    """
