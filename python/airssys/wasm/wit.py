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

    def resolved(self, definition: Definition) -> Definition:
        """Return what an alias of a type with a name stands for; others as they are."""
        kind = definition.alias
        while definition.kind == "alias" and isinstance(kind, dict) and kind["kind"] == "named":
            owner = self.interface(kind["interface"] or "")
            types = owner.types if owner is not None else self.world.types if self.world else ()
            found = next((each for each in types if each.name == kind["name"]), None)
            if found is None or found is definition:
                break
            definition, kind = found, found.alias
        return definition

    def reached(self, interface: Interface) -> dict[str, Definition]:
        """Return the types that an interface has or needs by way of others, by name."""
        found: dict[str, Definition] = {}
        left = list(interface.types)
        while left:
            definition = self.resolved(left.pop())
            if definition.name in found:
                continue
            found[definition.name] = definition
            for kind in (definition.alias, *(each.type for each in definition.members)):
                left += self._needed(kind, interface)
        # What it calls a type itself comes first.
        return found | {each.name: each for each in interface.types}

    def _needed(self, kind: Any, interface: Interface) -> list[Definition]:
        if not isinstance(kind, dict):
            return []
        if "name" not in kind:
            return [each for part in kind["of"] for each in self._needed(part, interface)]
        owner = self.interface(kind["interface"] or "") or interface
        return [each for each in owner.types if each.name == kind["name"]]

    def own_exports(self, name: str) -> Interface | None:
        """Return the functions that the world itself exports, as an interface."""
        if self.world is None:
            return None
        return Interface(name, self.world.docs, self.world.types, self.world.exports.functions)

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


def differences(own: Described, wanted: Interface, other: Described, given: Interface) -> list[str]:
    """Return what an interface lacks of another, or has otherwise; docs and order do not count.

    Functions and types that it has besides do no harm.

    Args:
        own: What the wanted interface is from.
        wanted: What there should be.
        other: What the given interface is from.
        given: What there is.
    """
    found = []
    functions = {each.name: each for each in given.functions}
    for function in wanted.functions:
        text, known = _signature(function), functions.get(function.name)
        if known is None:
            found.append(f"{function.name} is missing, expected {text}")
        elif _signature(known) != text:
            found.append(f"{function.name} is {_signature(known)}, expected {text}")
    types = other.reached(given)
    for definition in wanted.types:
        text, there = _definition(own, definition), types.get(definition.name)
        if there is None:
            found.append(f"the type {definition.name} is missing, expected {text}")
        elif _definition(other, there) != text:
            found.append(f"{definition.name} is {_definition(other, there)}, expected {text}")
    return found


def _signature(function: Function) -> str:
    pairs = (f"{each.name}: {type_text(each.type)}" for each in function.parameters)
    result = "" if function.result is None else f" -> {type_text(function.result)}"
    return f"func({', '.join(pairs)}){result}"


def _definition(of: Described, definition: Definition) -> str:
    """Return a declaration as text, that of what an alias stands for."""
    definition = of.resolved(definition)
    if definition.kind == "alias":
        return type_text(definition.alias)
    members = (
        each.name if each.type is None else f"{each.name}: {type_text(each.type)}"
        for each in definition.members
    )
    return f"{definition.kind} {{ {', '.join(members)} }}"
