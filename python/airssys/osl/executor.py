"""Executors: the functions that carry operations out, registered and replaceable."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

from airssys.osl.errors import DefinitionError, NotRegistered
from airssys.osl.operation import Operation

if TYPE_CHECKING:
    from airssys.osl.authority import Authority

__all__ = ["Executor", "Executors", "Outcome", "executor"]

T = TypeVar("T")
Decides: TypeAlias = Literal["declared", "itself"]
F = TypeVar("F", bound=Callable[..., Awaitable[object]])


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """An output with more to say about it; an executor may return it in place of the output."""

    output: T
    exit_code: int | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Executor:
    """A registered function.

    Attributes:
        operation: The operation it carries out.
        function: `async def function(operation, authority) -> output`.
        decides: `declared` when what `operation.permissions()` says is decided before it is
            called; `itself` when it resolves its targets and decides on them by its authority.
    """

    operation: type[Operation[object]]
    function: Callable[[typing.Any, Authority], Awaitable[object]]
    decides: Decides


_defaults: dict[type[Operation[object]], Executor] = {}


def executor(
    operation: type[Operation[object]], *, decides: Decides = "declared", register: bool = True
) -> Callable[[F], F]:
    """Make an async function the executor of an operation.

    Args:
        operation: A class registered with `@operation`.
        decides: See `Executor.decides`.
        register: Make it the default; otherwise it serves pipelines that are given it by
            `Executors.replacing`.

    Raises:
        DefinitionError: The operation is not registered, the function is not async, does not take
            (operation, authority), is annotated for another operation, or the operation has a
            default executor already.
    """
    if not (isinstance(operation, type) and issubclass(operation, Operation) and operation.name):
        raise DefinitionError(
            f"{operation!r} cannot be executed; put @operation('family.verb') on an Operation"
        )

    def define(function: F) -> F:
        problem = _problem_of(function, operation)
        if problem:
            raise DefinitionError(
                f"{getattr(function, '__qualname__', function)!s} cannot execute "
                f"{operation.name!r}: {problem}",
                operation=operation.name,
            )
        made = Executor(operation, function, decides)
        if register:
            if operation in _defaults:
                known = getattr(_defaults[operation].function, "__qualname__", "")
                raise DefinitionError(
                    f"{operation.name!r} has an executor already ({known}); "
                    "pass register=False and use Executors.replacing",
                    operation=operation.name,
                )
            _defaults[operation] = made
        function.__airssys_executor__ = made  # type: ignore[attr-defined]
        return function

    return define


def _problem_of(function: object, operation: type[Operation[object]]) -> str | None:
    if not inspect.iscoroutinefunction(function):
        return "it must be an `async def` function"
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 2 or any(
        p.kind not in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD} for p in parameters
    ):
        return "it must take exactly (operation, authority)"
    annotation = parameters[0].annotation
    if annotation is not inspect.Parameter.empty:
        named = annotation if isinstance(annotation, str) else annotation.__name__
        if named.partition("[")[0].rpartition(".")[2] != operation.__name__:
            return f"its first parameter is annotated {named}, expected {operation.__name__}"
    return None


class Executors(Mapping[type[Operation[object]], Executor]):
    """Which executor serves which operation; unchangeable, so that a pipeline is too."""

    def __init__(self, table: Mapping[type[Operation[object]], Executor] | None = None) -> None:
        #: The same as a plain dictionary.
        self.table = dict(_defaults if table is None else table)

    def __getitem__(self, operation: type[Operation[object]]) -> Executor:
        try:
            return self.table[operation]
        except KeyError:
            raise NotRegistered(
                f"no executor is registered for {operation.name or operation.__name__!r}; "
                "define one with @executor before the pipeline is made",
                operation=operation.name,
            ) from None

    def __iter__(self) -> typing.Iterator[type[Operation[object]]]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def replacing(self, *functions: Callable[..., Awaitable[object]]) -> Executors:
        """Return these executors with the given `@executor` functions in the place of theirs.

        Raises:
            DefinitionError: A function was not made an executor.
        """
        table = dict(self.table)
        for function in functions:
            made = getattr(function, "__airssys_executor__", None)
            if not isinstance(made, Executor):
                raise DefinitionError(
                    f"{function!r} is no executor; put @executor(OperationClass) on it"
                )
            table[made.operation] = made
        return Executors(table)
