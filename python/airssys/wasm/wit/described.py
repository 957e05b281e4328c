"""Interfaces as data, and what differs between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airssys.wasm._native import _core

if TYPE_CHECKING:
    import os

__all__ = [
    "Definition",
    "Described",
    "Function",
    "Interface",
    "Member",
    "Parameter",
    "described",
    "differences",
    "type_text",
]


class Parameter(msgspec.Struct, frozen=True):
    """A parameter: its name, and its type as `type_text` writes it."""

    name: str
    type: Any


class Function(msgspec.Struct, frozen=True):
    """A function.

    Attributes:
        name: Its name; `[method]counter.next` of a resource.
        docs: What its author says of it.
        parameters: In order.
        result: Its type; None for nothing.
        free: Whether it belongs to no resource.
    """

    name: str
    docs: str
    parameters: tuple[Parameter, ...]
    result: Any
    free: bool


class Member(msgspec.Struct, frozen=True):
    """A field, a case or a flag; the type is None where it carries nothing."""

    name: str
    docs: str
    type: Any


class Definition(msgspec.Struct, frozen=True):
    """A type that has a name.

    Attributes:
        name: Its name.
        docs: What its author says of it.
        kind: `record`, `variant`, `enum`, `flags`, `resource`, or `alias` of another type.
        members: In order.
        alias: What an alias stands for.
    """

    name: str
    docs: str
    kind: str
    members: tuple[Member, ...]
    alias: Any


class Interface(msgspec.Struct, frozen=True):
    """An interface: its types and functions, in order."""

    name: str
    docs: str
    types: tuple[Definition, ...]
    functions: tuple[Function, ...]


class Side(msgspec.Struct, frozen=True):
    """What a world imports, or exports: interfaces by name, and functions of its own."""

    interfaces: tuple[str | Interface, ...]
    functions: tuple[Function, ...]


class World(msgspec.Struct, frozen=True):
    """A world."""

    name: str
    docs: str
    types: tuple[Definition, ...]
    imports: Side
    exports: Side


class Described(msgspec.Struct, frozen=True):
    """Some WIT: every interface that it knows, and its world, if it has one."""

    interfaces: tuple[Interface, ...]
    world: World | None

    def interface(self, name: str) -> Interface | None:
        """Return an interface by its name."""
        return next((each for each in self.interfaces if each.name == name), None)

    def exported(self, name: str) -> Interface | None:
        """Return an interface that the world exports."""
        if self.world is None:
            return None
        for each in self.world.exports.interfaces:
            if isinstance(each, Interface):
                if each.name == name:
                    return each
            elif each == name:
                return self.interface(name)
        return None

    def exported_names(self) -> list[str]:
        """Return the names of what the world exports."""
        if self.world is None:
            return []
        side = self.world.exports
        interfaces = [each if isinstance(each, str) else each.name for each in side.interfaces]
        return interfaces + [each.name for each in side.functions]


def described(
    *,
    folder: str | os.PathLike[str] | None = None,
    content: bytes | None = None,
    world: str | None = None,
) -> Described:
    """Read WIT.

    Args:
        folder: The folder of a package, with what it needs in `deps`.
        content: Or a component, or the text of a package.
        world: Which world, where there are several.

    Raises:
        ValueError: It is none; says why, and where that is known.
    """
    text = _core.describe_wit(folder=folder, content=content, world=world)
    return msgspec.json.decode(text, type=Described)


def type_text(kind: Any) -> str:
    """Return a type as WIT writes it."""
    if kind is None:
        return "_"
    if isinstance(kind, str):
        return kind
    if "name" in kind:
        name = str(kind["name"])
        return f"borrow<{name}>" if kind["kind"] == "borrow" else name
    if kind["kind"] == "result" and kind["of"] == [None, None]:
        return "result"
    return f"{kind['kind']}<{', '.join(map(type_text, kind['of']))}>"


def differences(wanted: Interface, given: Interface) -> list[str]:
    """Return what an interface lacks of another, or has otherwise; docs and order do not count.

    Functions and types that it has besides do no harm.
    """
    found = []
    functions = {each.name: each for each in given.functions}
    for function in wanted.functions:
        text = _signature(wanted, function)
        other = functions.get(function.name)
        if other is None:
            found.append(f"{function.name} is missing, expected {text}")
        elif _signature(given, other) != text:
            found.append(f"{function.name} is {_signature(given, other)}, expected {text}")
    types = {each.name: each for each in given.types}
    for definition in wanted.types:
        text, known = _definition(wanted, definition), types.get(definition.name)
        if known is None:
            found.append(f"the type {definition.name} is missing, expected {text}")
        elif _definition(given, known) != text:
            found.append(f"{definition.name} is {_definition(given, known)}, expected {text}")
    return found


def _signature(interface: Interface, function: Function) -> str:
    pairs = (f"{each.name}: {_seen(interface, each.type)}" for each in function.parameters)
    result = "" if function.result is None else f" -> {_seen(interface, function.result)}"
    return f"func({', '.join(pairs)}){result}"


def _definition(interface: Interface, definition: Definition) -> str:
    if definition.kind == "alias":
        return _seen(interface, definition.alias)
    members = (
        each.name if each.type is None else f"{each.name}: {_seen(interface, each.type)}"
        for each in definition.members
    )
    return f"{definition.kind} {{ {', '.join(members)} }}"


def _seen(interface: Interface, kind: Any) -> str:
    """Return a type as text, aliases of the interface for what they stand for."""
    if isinstance(kind, dict) and kind["kind"] == "named":
        for each in interface.types:
            if each.name == kind["name"] and each.kind == "alias" and each.alias != kind:
                return _seen(interface, each.alias)
    if isinstance(kind, dict) and "of" in kind:
        kind = {
            **kind,
            "of": [_Text(_seen(interface, each)) if each else None for each in kind["of"]],
        }
    return type_text(kind)


class _Text(str):
    """A type that is text already."""

    __slots__ = ()
