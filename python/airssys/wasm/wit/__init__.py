"""WIT as data: of components, of packages, of text."""

from __future__ import annotations

from airssys.wasm.wit.described import (
    Definition,
    Described,
    Function,
    Interface,
    Member,
    Parameter,
    described,
    differences,
)

__all__ = [
    "Definition",
    "Described",
    "Function",
    "Interface",
    "Member",
    "Parameter",
    "described",
    "differences",
]
