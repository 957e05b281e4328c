"""The chain of plain async callables around an operation.

A middleware is any `async def middleware(call, proceed)`: what it does before `await proceed(call)`
happens before the operation, what it does after happens after, and an `except` around it handles
errors. Proceeding twice runs the operation twice, each time decided and recorded anew; not
proceeding leaves it undone. The gate stands inside the innermost middleware and cannot be left out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from airssys.osl.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airssys.osl._native import Subject
    from airssys.osl.context import Context
    from airssys.osl.operation import Operation
    from airssys.osl.result import Result
    from airssys.osl.system import OSL

__all__ = ["Call", "Middleware", "Proceed", "compose", "middleware", "priority_of"]


# A struct is a record like a frozen dataclass, made in a sixth of the time, once per operation.
class Call(Struct, frozen=True):
    """One run of an operation on its way through the chain.

    Attributes:
        operation: What will be done; a middleware replaces it with `call.with_operation(other)`.
        context: For whom.
        subject: The same for the gate.
        system: The pipeline that runs it.
        clock: The clock of the nearest timeout, if there is one.
    """

    operation: Operation[object]
    context: Context
    subject: Subject
    system: OSL
    clock: Clock | None = None

    def with_operation(self, operation: Operation[object]) -> Call:
        """Return this call with another operation in place of its own."""
        return replace(self, operation=operation)

    def with_clock(self, clock: Clock) -> Call:
        """Return this call with a clock that waiting for an approver stops."""
        return replace(self, clock=clock)


class Clock:
    """The clock of a timeout, which does not run while an approver is waited for."""

    def pause(self) -> None:
        """Stop counting."""
        raise NotImplementedError

    def resume(self) -> None:
        """Go on counting."""
        raise NotImplementedError


Proceed: TypeAlias = Callable[[Call], Awaitable["Result[object]"]]
Middleware: TypeAlias = Callable[[Call, Proceed], Awaitable["Result[object]"]]
M = TypeVar("M", bound=Callable[..., object])

_PRIORITY = "__airssys_priority__"


def middleware(*, priority: int) -> Callable[[M], M]:
    """Give a middleware its place: the higher the priority, the further out it stands.

    Callables without one have priority 0; equal ones stand in the order they were given.
    """

    def mark(function: M) -> M:
        setattr(function, _PRIORITY, priority)
        return function

    return mark


def priority_of(function: Middleware) -> int:
    """Return the priority a middleware was given."""
    value: int | None = getattr(function, _PRIORITY, None)
    if value is None:  # an object with `async def __call__` carries the mark on that method
        value = getattr(getattr(type(function), "__call__", None), _PRIORITY, 0)  # noqa: B004
    return value or 0


def compose(middlewares: Iterable[Middleware], innermost: Proceed) -> Proceed:
    """Return a callable that runs `innermost` inside all middlewares.

    Raises:
        DefinitionError: A middleware cannot be called.
    """
    functions = list(middlewares)
    for function in functions:
        if not callable(function):
            raise DefinitionError(
                f"{function!r} is not middleware: expected `async def middleware(call, proceed)`"
            )
    proceed = innermost
    # Built from the inside; the sort is stable, and of equal ones the first given stands outermost.
    for function in sorted(reversed(functions), key=priority_of):  # noqa: C414 - of equals
        proceed = _around(function, proceed)
    return proceed


def _around(function: Middleware, inner: Proceed) -> Proceed:
    def proceed(call: Call) -> Awaitable[Result[object]]:
        return function(call, inner)

    return proceed
