"""What differs between the interfaces of two components, and whether callers would notice."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airssys.wasm.component import Component

__all__ = ["Change", "InterfaceDifference", "interface_difference"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A function or a type that is there before and after, and is not the same.

    Attributes:
        path: `add`, or `demo:calc/ops#failure`.
        before: What it was.
        after: What it would be.
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
        changed: Functions with another signature, and types with other fields or cases.
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
    """Compare two components by structure: paths, signatures, and the types that they name."""
    old, new = _described(before), _described(after)
    return InterfaceDifference(
        added=tuple(path for path in after.exports if path not in old),
        removed=tuple(path for path in before.exports if path not in new),
        changed=tuple(
            Change(path=path, before=old[path], after=new[path])
            for path in old
            if path in new and old[path] != new[path]
        ),
        imports_added=tuple(sorted(set(after.imports) - set(before.imports))),
        imports_removed=tuple(sorted(set(before.imports) - set(after.imports))),
    )


def _described(component: Component) -> dict[str, str]:
    """Return the functions and the types of a component by path, each as text."""
    functions = {path: component.signature(path) for path in component.exports}
    types = {path: _shape(kind) for path, kind in component.types.items()}
    return functions | {path: text for path, text in types.items() if path not in functions}


def _shape(kind: type[Any]) -> str:
    members = getattr(kind, "__members__", None)
    if members is not None:  # an enum or flags
        return f"{{{', '.join(members)}}}"
    if dataclasses.is_dataclass(kind):
        fields = dataclasses.fields(kind)
        return f"{{{', '.join(f'{each.name}: {_named(each.type)}' for each in fields)}}}"
    cases = [(name, case) for name, case in vars(kind).items() if isinstance(case, type)]
    return f"{{{', '.join(f'{name}{_shape(case)}' for name, case in cases)}}}"


def _named(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)
