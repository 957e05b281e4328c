"""A compiled component."""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING, Any, Final

from airssys.wasm._native import normal_result, parse_call, print_result
from airssys.wasm.errors import UnknownImport
from airssys.wasm.limits import Limits
from airssys.wasm.wasi import Wasi

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from airssys.wasm._native import Instance, _core

__all__ = ["Component", "RunResult"]

_LIMITS: Final = Limits()
_NOTHING: Final = Wasi()


@dataclasses.dataclass(frozen=True, slots=True)
class RunResult:
    """How a command component ended.

    Attributes:
        status: Exit status; 0 for success.
        stdout: What it wrote to standard output, where that was captured.
        stderr: What it wrote to standard error, where that was captured.
    """

    status: int
    stdout: bytes
    stderr: bytes


class Component:
    """A compiled component: what it needs, what it offers, and instances of it.

    Made by `Engine.load`. Safe to share between threads.
    """

    __slots__ = ("_native", "_required")

    def __init__(self, native: _core.Component) -> None:
        self._native = native
        self._required = native.required

    @property
    def digest(self) -> str:
        """`sha256:…` of the binary."""
        return self._native.digest

    @property
    def size(self) -> int:
        """Bytes of the binary."""
        return self._native.size

    @property
    def memory_required(self) -> int:
        """Bytes of linear memory that an instance has from the beginning."""
        return self._native.memory_required

    @property
    def arguments(self) -> tuple[str, ...]:
        """What each instance in a host is started with; none but for scripts."""
        return ()

    @property
    def profile(self) -> str:
        """`"plain"`, or `"concurrent"` for a component that uses component-model async."""
        return self._native.profile

    @property
    def from_cache(self) -> bool:
        """Whether the compiled code came from the cache."""
        return self._native.from_cache

    @property
    def imports(self) -> list[str]:
        """Names of the interfaces and functions that the component imports, WASI included."""
        return self._native.imports

    @property
    def required(self) -> list[str]:
        """Paths of the functions that `instantiate(imports=…)` must provide."""
        return [
            name if interface is None else f"{interface}#{name}"
            for interface, name in self._required
        ]

    @property
    def exports(self) -> list[str]:
        """Paths of the exported functions: `add`, or `demo:calc/ops#add` for an interface's."""
        return self._native.exports

    def signature(self, path: str) -> str:
        """Return what an exported function takes and gives, as in WIT.

        Raises:
            UnknownExport: If there is no such export.
        """
        return self._native.signature(path)

    def shapes(self, *, imported: bool = False) -> dict[str, str | None]:
        """Return what functions take and give by structure, whatever their types are called.

        Two functions have the same exactly where whoever calls the one can call the other:
        `(a: record { x: u32, }) -> u32`. None where it would be too long to be compared.

        Args:
            imported: Of the functions in `required`, instead of the exported ones.
        """
        return dict(self._native.shapes(imported))

    @property
    def types(self) -> dict[str, type[Any]]:
        """The classes of the records, variants, enums and flags that the functions use, by path.

        `component.types["demo:calc/shapes#shape"].Circle(1.0)` makes a value of a variant; a
        record's class is a dataclass. Values that functions return are of the same classes.
        """
        return self._native.types()

    def wit(self) -> str:
        """Return the component's world as WIT text."""
        return self._native.wit()

    def parse_call(self, text: str) -> tuple[str, tuple[Any, ...]]:
        """Read a call in WAVE, as `add(2, 3)`: the path of the function and its arguments.

        A function of an interface is found by its own name where no other export has it.

        Raises:
            UnknownExport: If there is no such export.
            ValueError: If the arguments are not what it takes; names the place.
        """
        return parse_call(self._native, text)

    def print_result(self, path: str, value: object, *, error: bool = False) -> str | None:
        """Write what a function returned in WAVE, or None for one that returns nothing.

        Args:
            path: The function.
            value: What it returned.
            error: Whether `value` is the error of its `result`.

        Raises:
            ValueError: If the value has no text, such as a resource.
        """
        return print_result(self._native, path, value, error=error)

    def normal_result(self, path: str, text: str) -> str | None:
        """Write text that stands for a result as `print_result` would, or None without a result.

        Raises:
            UnknownExport: If there is no such export.
            ValueError: If the text is no result of that function; names the place.
        """
        return normal_result(self._native, path, text)

    def instantiate(
        self,
        *,
        limits: Limits = _LIMITS,
        imports: Mapping[str, Any] | None = None,
        wasi: Wasi = _NOTHING,
    ) -> Instance:
        """Make an instance: a store of its own, with nothing granted but what `wasi` lists.

        Args:
            limits: Its bounds.
            imports: What the component imports beyond WASI. By interface name (with or without
                version): a mapping or object that holds the functions by their WIT names (`-` may
                be `_` in attributes). A function of the world itself by its own name. A resource
                is a class: its constructor, methods and static functions are the class's own.
            wasi: What it is given of the outside.

        Raises:
            UnknownImport: If an import is not provided; names the near ones.
            LimitExceeded: If it does not fit its limits from the beginning.
            PoolExhausted: If the process has no room for another instance.
            Trap: If its start code traps.
        """
        functions = self._functions(imports) if self._required else []
        return self._native.instantiate(limits.native, wasi.native, functions)

    def instantiate_async(
        self,
        *,
        limits: Limits = _LIMITS,
        imports: Mapping[str, Any] | None = None,
        wasi: Wasi = _NOTHING,
    ) -> Awaitable[Instance]:
        """Make an instance from asyncio; as `instantiate`. Cancelling drops what is half made."""
        functions = self._functions(imports) if self._required else []
        return self._native.instantiate_async(limits.native, wasi.native, functions)

    def run(self, *, wasi: Wasi = _NOTHING, limits: Limits = _LIMITS) -> RunResult:
        """Run a command component (`wasi:cli/run`) to its end.

        Raises:
            UnknownExport: If the component is not a command.
            Trap: If it traps.
            LimitExceeded: If it reaches a limit.
        """
        from airssys.wasm._command import run  # noqa: PLC0415  a command needs what this module defines

        return run(self, wasi, limits)

    def _functions(self, imports: Mapping[str, Any] | None) -> list[Callable[..., Any]]:
        given = imports or {}
        return [_find(given, interface, name) for interface, name in self._required]

    def __repr__(self) -> str:
        return f"<Component {self.digest} ({self.size} bytes, {len(self.exports)} exports)>"


def _find(imports: Mapping[str, Any], interface: str | None, name: str) -> Callable[..., Any]:
    """Find the callable for one import."""
    if interface is None:
        found = imports.get(name)
        if callable(found):
            return found  # type: ignore[no-any-return]
        raise _unknown(name, list(imports))
    holder = imports.get(interface)
    if holder is None:
        holder = imports.get(interface.partition("@")[0])
    if holder is None:
        raise _unknown(f"{interface}#{name}", list(imports))
    function = _member(holder, name)
    if function is None:
        known = list(holder) if hasattr(holder, "keys") else [n for n in dir(holder) if n[0] != "_"]
        raise _unknown(f"{interface}#{name}", [f"{interface}#{member}" for member in known])
    return function


def _unknown(path: str, known: list[str]) -> UnknownImport:
    near = difflib.get_close_matches(path, known)
    hint = (
        f"provided and near: {', '.join(map(repr, near))}"
        if near
        else f"pass it: instantiate(imports={{{path.partition('#')[0]!r}: …}})"
    )
    return UnknownImport(f"nothing provides the import '{path}'; {hint}", name=path, near=near)


def _attribute(holder: Any, name: str) -> Any:
    if hasattr(holder, "keys"):
        return holder[name] if name in holder else holder.get(name.replace("-", "_"))
    return getattr(holder, name.replace("-", "_"), None)


def _member(holder: Any, name: str) -> Callable[..., Any] | None:
    """Find a function, or what belongs to a resource's class, in what was given."""
    exact = _attribute(holder, name)
    if callable(exact):
        return exact  # type: ignore[no-any-return]
    if not name.startswith("["):
        return None
    kind, _, rest = name[1:].partition("]")
    resource, _, member = rest.partition(".")
    cls = _attribute(holder, resource)
    if cls is None:
        pascal = "".join(part.capitalize() for part in resource.split("-"))
        cls = _attribute(holder, pascal)
    if cls is None:
        return None
    if kind == "constructor":
        return cls  # type: ignore[no-any-return]
    return getattr(cls, member.replace("-", "_"), None)
