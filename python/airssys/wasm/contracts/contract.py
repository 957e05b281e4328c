"""A Protocol as a contract: what it is in WIT, and calls through it in both directions."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import typing
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airssys.wasm.contracts.errors import InvalidContract
from airssys.wasm.contracts.names import kebab, quoted
from airssys.wasm.contracts.required import Required
from airssys.wasm.contracts.shapes import Named, Shape, Shapes, result_text
from airssys.wasm.values import GuestError, WitError, attribute_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Contract", "contract_of", "interface", "raises", "world"]

_NAME: Final = re.compile(
    r"(?P<package>[a-z][a-z0-9-]*:[a-z][a-z0-9-]*)/(?P<interface>[a-z][a-z0-9-]*)"
    r"(?:@(?P<version>\d+\.\d+\.\d+[\w.+-]*))?"
)
_CONTRACT: Final = "__airssys_contract__"
_RAISES: Final = "__airssys_raises__"

P = TypeVar("P", bound=type)
F = TypeVar("F", bound="Callable[..., Any]")


def interface(name: str) -> Callable[[P], P]:
    """Make a Protocol a contract with components.

    Its methods are functions, plain or async; dataclasses in their annotations are records. Names
    become those of WIT: `unit_price` is `unit-price`. Docstrings become documentation.

    Args:
        name: Of the interface: `acme:crm/pricing`, or with a version, `acme:crm/pricing@1.0.0`.

    Raises:
        InvalidContract: The name is none, or an annotation has nothing in WIT that is like it.
    """

    def make(protocol: P) -> P:
        setattr(protocol, _CONTRACT, Contract.of(name, protocol))
        return protocol

    return make


def world(name: str) -> Callable[[P], P]:
    """Make a Protocol a contract about the functions that a world exports itself.

    Args:
        name: Of the world.
    """

    def make(protocol: P) -> P:
        setattr(protocol, _CONTRACT, Contract.of(name, protocol, of_world=True))
        return protocol

    return make


def raises(error: Any) -> Callable[[F], F]:
    """Let a method of a contract end in an error: in WIT its result is a `result`.

    Args:
        error: A dataclass that is an exception, which is raised. Of anything else, and of None for
            an error that carries nothing, a component's error arrives as `GuestError`, and an
            object that is offered raises `WitError`.
    """

    def mark(method: F) -> F:
        setattr(method, _RAISES, (error,))
        return method

    return mark


def contract_of(protocol: object) -> Contract | None:
    """Return the contract that a class is; None where it is none."""
    found = vars(protocol).get(_CONTRACT) if isinstance(protocol, type) else None
    return found if isinstance(found, Contract) else None


@dataclasses.dataclass(frozen=True, slots=True)
class Method:
    """A function of a contract.

    Attributes:
        name: In WIT.
        python: In Python.
        parameters: By their names in Python.
        result: What it gives; None for nothing.
        error: What it may end in, with the class that is raised; None where it has no error. The
            shape is None for an error that carries nothing.
        docs: Its docstring.
    """

    name: str
    python: str
    parameters: dict[str, Shape]
    result: Shape | None
    error: tuple[type | None, Shape | None] | None
    docs: str

    @property
    def signature(self) -> str:
        """What it takes and gives, in WIT."""
        pairs = (f"{quoted(kebab(name))}: {each.wit}" for name, each in self.parameters.items())
        result = None if self.result is None else self.result.wit
        if self.error is not None:
            result = result_text(self.result, self.error[1])
        return f"func({', '.join(pairs)})" + (f" -> {result}" if result else "")

    def lowered(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by their names in WIT."""
        names = list(self.parameters)
        if len(arguments) > len(names):
            raise TypeError(f"{self.python}() takes {len(names)} arguments, got {len(arguments)}")
        given = dict(zip(names, arguments, strict=False))
        for name in named:
            if name in given or name not in self.parameters:
                what = "twice" if name in given else "that it does not take"
                raise TypeError(f"{self.python}() got {name!r} {what}")
        given |= named
        missing = [name for name in names if name not in given]
        if missing:
            raise TypeError(f"{self.python}() lacks {', '.join(missing)}")
        return {
            attribute_name(kebab(name)): self.parameters[name].lower(value)
            for name, value in given.items()
        }

    def lifted(self, value: Any) -> Any:
        """Return a result as the contract has it."""
        return None if self.result is None else self.result.lift(value)

    def raised(self, error: GuestError) -> Exception:
        """Return what is raised for the error of a component."""
        kind, shape = self.error or (None, None)
        if shape is None or kind is None or not issubclass(kind, BaseException):
            return error if shape is None else GuestError(shape.lift(error.value))
        made: Exception = shape.lift(error.value)
        return made


@dataclasses.dataclass(frozen=True)
class Contract:
    """An interface between a host and components.

    Attributes:
        name: In WIT, with its version where it has one.
        methods: Its functions, by their names in Python.
        types: The declarations that they need, in order.
        docs: Its docstring.
        of_world: Whether it is what a world exports itself, by the name of the world.
    """

    name: str
    methods: dict[str, Method]
    types: tuple[Named, ...]
    docs: str
    of_world: bool = False

    @classmethod
    def of(cls, name: str, protocol: type, *, of_world: bool = False) -> Contract:
        """Read a Protocol; see `interface` and `world`."""
        if not of_world and _NAME.fullmatch(name) is None:
            raise InvalidContract(
                f"{name!r} is no name of an interface",
                hint="write it like acme:crm/pricing or acme:crm/pricing@1.0.0",
            )
        shapes = Shapes()
        methods = {
            own: _method(own, function, f"{protocol.__name__}.{own}", shapes)
            for own, function in vars(protocol).items()
            if inspect.isfunction(function) and not own.startswith("_")
        }
        if not methods:
            raise InvalidContract(f"{protocol.__name__} has no methods, so nothing to agree on")
        for method in methods.values():
            if method.name in shapes.declared:
                raise InvalidContract(
                    f"{protocol.__name__}.{method.python}: a type is named {method.name!r} too",
                    hint="in WIT a function and a type of one interface have different names",
                )
        docs = vars(protocol).get("__doc__") or ""
        declared = tuple(shapes.declared.values())
        return cls(name, methods, declared, inspect.cleandoc(docs), of_world)

    def wit(self) -> str:
        """Return it as a WIT package, with a world that exports it and one that imports it."""
        if self.of_world:
            return self._world()
        found = _NAME.fullmatch(self.name)
        assert found is not None  # noqa: S101 - checked when it was made
        version = f"@{found['version']}" if found["version"] else ""
        own = quoted(found["interface"])
        body = self._body("")
        return (
            f"package {found['package']}{version};\n\n"
            f"{_comment(self.docs)}interface {own} {{\n{body}}}\n\n"
            f"/// What implements it.\n"
            f"world {found['interface']}-plugin {{\n    export {own};\n}}\n"
        )

    def _world(self) -> str:
        body = self._body("export ")
        return (
            f"package local:{self.name};\n\n{_comment(self.docs)}world %{self.name} {{\n{body}}}\n"
        )

    def _body(self, before: str) -> str:
        parts = [_declaration(each) for each in self.types]
        parts += [
            f"{_comment(each.docs)}{before}{quoted(each.name)}: {each.signature};\n"
            for each in self.methods.values()
        ]
        return "\n".join(_indented(part) for part in parts)

    @functools.cached_property
    def required(self) -> Required:
        """What a component has to export to implement it."""
        return Required(self.name, self.wit(), self.of_world)

    def path(self, method: Method) -> str:
        """Return the path of a function in components."""
        return method.name if self.of_world else f"{self.name}#{method.name}"

    def client(self, call: Callable[..., Any], *, awaited: bool) -> Any:
        """Return an object with its methods that calls a component.

        Args:
            call: Calls a function by its path, with arguments by name.
            awaited: Whether what it returns is awaited.
        """
        return (AwaitedClient if awaited else Client)(self, call)

    def offered(self, subject: object) -> dict[str, Callable[..., Any]]:
        """Return the functions of an object as components import them, by their names in WIT.

        Raises:
            InvalidContract: The object lacks a method.
        """
        functions = {}
        for method in self.methods.values():
            function = getattr(subject, method.python, None)
            if not callable(function):
                raise InvalidContract(
                    f"{type(subject).__name__} has no {method.python}(), and {self.name} has"
                )
            functions[method.name] = _offered(method, function)
        return functions


class Client:
    """The functions of a contract, on a component."""

    def __init__(self, contract: Contract, call: Callable[..., Any]) -> None:
        self._contract = contract
        self._call = call

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = self._contract.methods.get(name)
        if method is None:
            known = ", ".join(self._contract.methods)
            raise AttributeError(f"{self._contract.name} has no {name}(); there is {known}")
        return self._bound(method)

    def __dir__(self) -> list[str]:
        return sorted(self._contract.methods)

    def _bound(self, method: Method) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            given = method.lowered(arguments, named)
            try:
                return method.lifted(self._call(self._contract.path(method), **given))
            except GuestError as error:
                raise method.raised(error) from None

        return call


class AwaitedClient(Client):
    """The same, awaited."""

    def _bound(self, method: Method) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            given = method.lowered(arguments, named)
            try:
                return method.lifted(await self._call(self._contract.path(method), **given))
            except GuestError as error:
                raise method.raised(error) from None

        return call


def _method(own: str, function: Callable[..., Any], place: str, shapes: Shapes) -> Method:
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = {}
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise InvalidContract(f"{place}: WIT has no *{parameter.name}")
        if parameter.name not in hints:
            raise InvalidContract(f"{place}: {parameter.name} has no annotation")
        parameters[parameter.name] = shapes.of(hints[parameter.name], f"{place}({parameter.name})")
    if "return" not in hints:
        raise InvalidContract(f"{place}: what it returns has no annotation; -> None for nothing")
    result = hints["return"]
    error = getattr(function, _RAISES, None)
    return Method(
        name=kebab(own),
        python=own,
        parameters=parameters,
        result=None if result is type(None) else shapes.of(result, f"{place}()"),
        error=None if error is None else _error(error[0], f"{place}() raises", shapes),
        docs=inspect.getdoc(function) or "",
    )


def _error(error: Any, place: str, shapes: Shapes) -> tuple[type | None, Shape | None]:
    if error in (None, type(None)):
        return None, None
    return error if isinstance(error, type) else None, shapes.of(error, place)


def _offered(method: Method, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of an object as a component calls it."""
    shapes = list(method.parameters.values())
    known = method.error[0] if method.error is not None else ()
    expected = known if isinstance(known, type) and issubclass(known, BaseException) else ()

    def given(arguments: tuple[Any, ...]) -> list[Any]:
        return [shape.lift(each) for shape, each in zip(shapes, arguments, strict=True)]

    def result_of(value: Any) -> Any:
        return None if method.result is None else method.result.lower(value)

    def failed(error: BaseException) -> WitError:
        assert method.error is not None  # noqa: S101 - nothing is expected without
        shape = method.error[1]
        return WitError(None if shape is None else shape.lower(error))

    if inspect.iscoroutinefunction(function):

        async def awaited(*arguments: Any) -> Any:
            try:
                return result_of(await function(*given(arguments)))
            except expected as error:
                raise failed(error) from error

        return awaited

    def plain(*arguments: Any) -> Any:
        try:
            return result_of(function(*given(arguments)))
        except expected as error:
            raise failed(error) from error

    return plain


def _declaration(named: Named) -> str:
    members = "".join(
        f"    {quoted(name)}{_member(named.kind, kind)},\n" for name, kind in named.members
    )
    text = f"{named.kind} {quoted(named.name)} {{\n{members}}}\n"
    return f"{_comment(inspect.cleandoc(named.docs))}{text}"


def _member(kind: str, of: str | None) -> str:
    if of is None:
        return ""
    return f": {of}" if kind == "record" else f"({of})"


def _comment(docs: str) -> str:
    return "".join(f"/// {line}".rstrip() + "\n" for line in docs.splitlines())


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.splitlines())
