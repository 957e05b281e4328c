"""What `airssys run` gives a guest, as it is written on the command line."""

from __future__ import annotations

import os

from typer import BadParameter

from airssys.wasm.wasi import Directory

__all__ = ["directories", "environment"]


def directories(given: list[str]) -> dict[str, Directory]:
    """Read `HOST::GUEST[:ro]`, or `HOST[:ro]` for the same path on both sides."""
    found: dict[str, Directory] = {}
    for text in given:
        path = text.removesuffix(":ro")
        host, separator, guest = path.partition("::")
        if not host or (separator and not guest):
            raise BadParameter(f"--dir {text!r}: expected HOST::GUEST or HOST::GUEST:ro")
        found[guest or host] = Directory(host, write=path == text)
    return found


def environment(given: list[str]) -> dict[str, str]:
    """Read `NAME=VALUE`, or `NAME` for the value that this process has."""
    found: dict[str, str] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not name:
            raise BadParameter(f"--env {text!r}: expected NAME=VALUE or NAME")
        if separator:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
        else:
            raise BadParameter(f"--env {name}: this process has no such variable; give a value")
    return found
