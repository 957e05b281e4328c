"""What differs between the interfaces of two components, and whether callers would notice."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airssys.wasm.component import Component

__all__ = ["Change", "InterfaceDifference", "breaks", "interface_difference"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A function that is there before and after, and is not the same.

    Attributes:
        path: `add`, or `demo:calc/ops#divide`.
        before: What it took and gave: its signature, or where that reads the same, its structure.
        after: What it would take and give.
    """

    path: str
    before: str
    after: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceDifference:
    """What differs between the interfaces of two components.

    Attributes:
        added: Exported functions that only the later one has.
        removed: Exported functions that only the earlier one has.
        changed: Functions that take or give something else, also deep in a record or a case.
        imports_added: Interfaces that only the later one imports.
        imports_removed: Interfaces that only the earlier one imports.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[Change, ...]
    imports_added: tuple[str, ...]
    imports_removed: tuple[str, ...]

    @property
    def compatible(self) -> bool:
        """Whether whoever calls the earlier one can call the later one."""
        return not (self.removed or self.changed)

    def lines(self) -> list[str]:
        """Return it for a person, a line each."""
        return [
            *(f"- {path}" for path in self.removed),
            *(f"~ {each.path}: {each.before} became {each.after}" for each in self.changed),
            *(f"+ {path}" for path in self.added),
            *(f"- import {name}" for name in self.imports_removed),
            *(f"+ import {name}" for name in self.imports_added),
        ]


def interface_difference(before: Component, after: Component) -> InterfaceDifference:
    """Compare two components by structure: what their functions take and give, to the last field.

    What is told of a change is the least that shows it: the signature where that differs, else the
    structure behind it.
    """
    old, new = before.shapes(), after.shapes()
    return InterfaceDifference(
        added=tuple(path for path in new if path not in old),
        removed=tuple(path for path in old if path not in new),
        changed=tuple(
            _change(path, before, after)
            for path in old
            if path in new and _differs(path, before, after)
        ),
        imports_added=tuple(sorted(set(after.imports) - set(before.imports))),
        imports_removed=tuple(sorted(set(before.imports) - set(after.imports))),
    )


def breaks(dependant: Component, before: Component, after: Component) -> tuple[str, ...]:
    """Return what a component imports of another one that a later one would not provide.

    Args:
        dependant: What imports.
        before: Whose exports it imports now.
        after: What would take its place.

    Returns:
        A line for each function: what is gone, or what it was and what it would be.
    """
    provided, offered = before.shapes(), after.shapes()
    broken = []
    for path, wanted in dependant.shapes(imported=True).items():
        if path not in provided:
            continue  # it comes from somewhere else
        if path not in offered:
            broken.append(f"'{path}' is gone")
        elif wanted != offered[path]:
            broken.append(f"'{path}' is {offered[path]}, and {wanted} is imported")
    return tuple(broken)


def _differs(path: str, before: Component, after: Component) -> bool:
    old, new = before.shapes()[path], after.shapes()[path]
    if old is None and new is None:  # too long for either: at least what they say
        return before.signature(path) != after.signature(path)
    return old != new


def _change(path: str, before: Component, after: Component) -> Change:
    old, new = before.signature(path), after.signature(path)
    if old == new:
        old, new = before.shapes()[path] or old, after.shapes()[path] or new
    return Change(path=path, before=old, after=new)
