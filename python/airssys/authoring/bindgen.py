"""Typed Python for hosts, made of WIT: Protocols that are contracts, and the types they need."""

from __future__ import annotations

import keyword
import re
import textwrap
from typing import TYPE_CHECKING, Any, Final

from airssys.authoring.errors import WitError
from airssys.wasm.contracts.names import kebab
from airssys.wasm.values import attribute_name, class_name, member_name
from airssys.wasm.wit import described

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from airssys.wasm.wit import Definition, Described, Function, Interface

__all__ = ["bindings", "bindings_of"]

_SCALARS: Final = {
    "bool": "bool",
    "s64": "int",
    "f64": "float",
    "string": "str",
    "char": "Char",
    **{name: name.upper() for name in ("u8", "u16", "u32", "u64", "s8", "s16", "s32", "f32")},
}
_UNKNOWN: Final = ("own", "borrow", "future", "stream", "map", "error-context")
_ARTICLES: Final = {"own": "a resource", "borrow": "a resource"}
_WIDTH: Final = 100


class _Unsupported(Exception):
    """A type that contracts do not have."""


def bindings_of(source: Path, *, world: str = "", blocking: bool = False) -> str:
    """Return the text of a module for a component, a WIT file, or the folder of a WIT package.

    Args:
        source: Where it is.
        world: Which world of a package, where there are several.
        blocking: Plain methods, for `Host.open_blocking`, instead of `async` ones.

    Raises:
        WitError: It is neither, or has a mistake.
        OSError: It cannot be read.
    """
    try:
        if source.is_dir():
            found = described(folder=source, world=world or None)
        else:
            found = described(content=source.read_bytes(), world=world or None)
    except ValueError as error:
        raise WitError(f"{source}: {error}") from None
    return bindings(found, blocking=blocking)


def bindings(found: Described, *, blocking: bool = False) -> str:
    """Return the text of a module: what a world exports to call, and what it imports to offer.

    The same WIT gives the same text. Functions with resources, streams or futures are left out;
    a comment names them.

    Args:
        found: The WIT.
        blocking: Plain methods instead of `async` ones.

    Raises:
        WitError: There is nothing in it to call or to offer.
    """
    module = _Module(found, blocking=blocking)
    world = found.world
    if world is None:
        for each in found.interfaces:
            module.protocol(each, "An interface")
    else:
        for what, side in (("What it exports", world.exports), ("What it imports", world.imports)):
            for name in side.interfaces:
                interface = found.interface(name) if isinstance(name, str) else name
                if interface is not None and not interface.name.startswith(("wasi:", "airssys:")):
                    module.protocol(interface, what)
            if side.functions and what == "What it exports":
                own = found.own_exports(world.name)
                assert own is not None  # noqa: S101 - there is a world
                module.protocol(own, what, of_world=True)
    if not module.protocols:
        raise WitError("it has no functions that a host can call or offer")
    return module.text()


class _Module:
    """The text of a module in the making."""

    def __init__(self, found: Described, *, blocking: bool) -> None:
        self.protocols: list[str] = []
        self._found = found
        self._async = "" if blocking else "async "
        self._types: list[str] = []
        self._names: dict[tuple[str, str], str] = {}
        self._taken: set[str] = set()
        self._used: set[str] = set()
        self._imports: set[str] = {"from typing import Protocol"}
        self._kinds: set[str] = set()

    def protocol(self, interface: Interface, what: str, *, of_world: bool = False) -> None:
        """Add the Protocol of an interface, and the types of its functions."""
        methods, left_out = [], []
        for function in interface.functions:
            try:
                methods.append(self._method(function, interface))
            except _Unsupported as error:
                left_out.append(f"    # {function.name} is left out: it needs {error}\n")
        if not methods:
            return
        kind = "world" if of_world else "interface"
        self._used.add(kind)
        own = interface.name.rpartition("/")[2].partition("@")[0]
        name = self._free(class_name(own), "Functions")
        docs = interface.docs or f"{what}: `{interface.name}`."
        body = "\n".join([*methods, *left_out])
        self.protocols.append(
            f'@{kind}("{interface.name}")\nclass {name}(Protocol):\n{_docstring(docs, 4)}\n{body}'
        )

    def text(self) -> str:
        """Return the whole module."""
        imports = sorted(each for each in self._imports if each.startswith("import "))
        body = "\n\n".join([*self._types, *self.protocols])
        # What only a function that is left out would need is not.
        used = [name for name in self._used if re.search(rf"\b{name}\b", body)]
        own = sorted(used, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
        lines = f"from airssys.wasm.contracts import {', '.join(own)}"
        if len(lines) > _WIDTH:
            lines = "from airssys.wasm.contracts import (\n    " + ",\n    ".join(own) + ",\n)"
        typing = ", ".join(sorted({"Protocol", *self._kinds}))
        values = sorted(each for each in self._imports if "airssys.wasm.values" in each)
        head = [
            '"""Made by `airssys bindgen`; it is written anew, not edited."""',
            "",
            "from __future__ import annotations",
            "",
            *imports,
            *([f"from typing import {typing}"]),
            "",
            lines,
            *values,
        ]
        return "\n".join(head) + "\n\n\n" + body

    def _method(self, function: Function, interface: Interface) -> str:
        if not function.free:
            raise _Unsupported("a resource")
        result, mark = function.result, ""
        if isinstance(result, dict) and result["kind"] == "result":
            result, error = result["of"]
            self._used.add("raises")
            mark = f"    @raises({self._type(error, interface)})\n"
        returned = "None" if result is None else self._type(result, interface)
        parameters = [
            "self",
            *(
                f"{_identifier(each.name)}: {self._type(each.type, interface)}"
                for each in function.parameters
            ),
        ]
        start = f"    {self._async}def {_identifier(function.name)}("
        head = f"{start}{', '.join(parameters)}) -> {returned}:"
        if len(head) > _WIDTH:
            listed = "".join(f"        {each},\n" for each in parameters)
            head = f"{start}\n{listed}    ) -> {returned}:"
        if function.docs:
            return f"{mark}{head}\n{_docstring(function.docs, 8)}        ...\n"
        return f"{mark}{head} ...\n"

    def _type(self, kind: Any, interface: Interface) -> str:
        """Return the annotation of a type; what it names is declared before."""
        if not isinstance(kind, dict):
            return "None" if kind is None else self._scalar(kind)
        if kind["kind"] == "named":
            return self._named(kind, interface)
        if kind["kind"] in _UNKNOWN or "of" not in kind:
            raise _Unsupported(_ARTICLES.get(kind["kind"], f"a {kind['kind']}"))
        if kind == {"kind": "list", "of": ["u8"]}:
            return "bytes"
        return self._compound(kind["kind"], [self._type(each, interface) for each in kind["of"]])

    def _compound(self, kind: str, parts: list[str]) -> str:
        if kind == "option":
            if parts[0].endswith(" | None"):
                raise _Unsupported("an option in an option")
            return f"{parts[0]} | None"
        if kind == "result":
            self._imports.add("from airssys.wasm.values import Err, Ok")
            return f"Ok[{parts[0]}] | Err[{parts[1]}]"
        return f"{kind}[{', '.join(parts)}]"

    def _scalar(self, name: str) -> str:
        found = _SCALARS.get(name)
        if found is None:
            raise _Unsupported(f"a {name}")
        if found not in ("bool", "int", "float", "str"):
            self._used.add(found)
        return found

    def _named(self, kind: dict[str, Any], interface: Interface) -> str:
        owner = self._found.interface(kind["interface"] or "") or interface
        definition = next((each for each in owner.types if each.name == kind["name"]), None)
        if definition is None:
            raise _Unsupported(f"{kind['name']}, which is not known")
        if definition.kind == "alias":
            return self._type(definition.alias, owner)
        if definition.kind == "resource":
            raise _Unsupported(f"the resource {definition.name}")
        key = (owner.name, definition.name)
        if key not in self._names:
            short = owner.name.rpartition("/")[2].partition("@")[0]
            declared = self._declared(definition, owner, class_name(short))
            self._types.append(declared)
        return self._names[key]

    def _declared(self, definition: Definition, owner: Interface, prefix: str) -> str:
        members = [
            (each, None if each.type is None else self._type(each.type, owner))
            for each in definition.members
        ]
        name = self._free(class_name(definition.name), "", prefix)
        self._names[owner.name, definition.name] = name
        docs = _docstring(definition.docs or f"`{definition.name}` of `{owner.name}`.", 4)
        if definition.kind == "variant":
            return self._variant(definition, name, members)
        mark = ""
        if kebab(name) != definition.name:
            self._used.add("named")
            mark = f'@named("{definition.name}")\n'
        if definition.kind == "record":
            self._imports.add("import dataclasses")
            body = "".join(f"    {_identifier(each.name)}: {kind}\n" for each, kind in members)
            head = f"{mark}@dataclasses.dataclass(frozen=True, slots=True)\nclass {name}:\n"
        elif definition.kind == "enum":
            self._imports.add("import enum")
            body = "".join(f'    {member_name(each.name)} = "{each.name}"\n' for each, _ in members)
            head = f"{mark}class {name}(enum.Enum):\n"
        else:
            self._imports.add("import enum")
            body = "".join(f"    {member_name(each.name)} = enum.auto()\n" for each, _ in members)
            head = f"{mark}class {name}(enum.Flag):\n"
        return f"{head}{docs}\n{body}"

    def _variant(
        self, definition: Definition, name: str, members: Iterable[tuple[Any, str | None]]
    ) -> str:
        self._imports.add("import dataclasses")
        self._used.add("case")
        self._kinds |= {"Annotated", "TypeAlias"}
        classes, names = [], []
        for each, kind in members:
            own = self._free(f"{name}{class_name(each.name)}", "Case")
            names.append(own)
            docs = _docstring(each.docs or f"`{each.name}` of `{definition.name}`.", 4)
            field = "" if kind is None else f"\n    value: {kind}\n"
            classes.append(
                f'@case("{each.name}")\n@dataclasses.dataclass(frozen=True, slots=True)\n'
                f"class {own}:\n{docs}{field}"
            )
        union = " | ".join(names)
        alias = f'{name}: TypeAlias = Annotated[{union}, "{definition.name}"]\n'
        if len(alias) > _WIDTH:
            listed = "\n    | ".join(names)
            alias = f'{name}: TypeAlias = Annotated[\n    {listed},\n    "{definition.name}",\n]\n'
        docs = "".join(f"#: {line}\n" for line in definition.docs.splitlines())
        return "\n\n".join([*classes, f"{docs}{alias}"])

    def _free(self, name: str, suffix: str, prefix: str = "") -> str:
        """Return a name that nothing else in the module has."""
        for each in (name, f"{prefix}{name}", f"{name}{suffix}"):
            if each not in self._taken and each not in ("Protocol", "Annotated", "Ok", "Err"):
                self._taken.add(each)
                return each
        return self._free(f"{name}_", suffix, prefix)


def _identifier(name: str) -> str:
    made = attribute_name(name)
    return f"{made}_" if keyword.iskeyword(made) else made


def _docstring(text: str, indent: int) -> str:
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    lines = text.splitlines()
    if len(lines) == 1:
        return " " * indent + f'"""{text}"""\n'
    return textwrap.indent("\n".join([f'"""{lines[0]}', *lines[1:], '"""']), " " * indent) + "\n"
