"""Operations: what is to be done, as data, with the permissions it needs."""

from __future__ import annotations

import inspect
import itertools
import os
import re
import time
from dataclasses import dataclass, field, is_dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeAlias, TypeVar, get_args

from msgspec import Struct

from airssys.osl.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AnyKind", "Kind", "Operation", "Permission", "operation", "operations"]

#: The kinds of capability that operations can need.
Kind: TypeAlias = Literal["filesystem", "network", "process", "environment", "config", "custom"]
#: All kinds of capability: those of components besides.
AnyKind: TypeAlias = (
    Kind | Literal["http", "storage", "messaging", "secret", "clock", "random", "log"]
)
KINDS: frozenset[str] = frozenset(get_args(Kind))

T = TypeVar("T", covariant=True)  # noqa: PLC0105 - an operation only gives its output out
C = TypeVar("C", bound="type[Operation[object]]")


# A struct is a record like a frozen dataclass, made in a sixth of the time, once per decision.
class Permission(Struct, frozen=True):
    """One access that an operation needs.

    Attributes:
        kind: Kind of capability.
        access: What is done: `read`, `connect`, `spawn`, …
        target: On what, in the kind's own notation: a path, `tcp:host:port`, an executable.
    """

    kind: AnyKind
    access: str
    target: str

    def __str__(self) -> str:
        return f"{self.kind} {self.access} {self.target}"


_prefix = os.urandom(6).hex()
_numbers = itertools.count(1)


def _renew_prefix() -> None:
    global _prefix  # noqa: PLW0603 - a forked child must not repeat its parent's ids
    _prefix = os.urandom(6).hex()


os.register_at_fork(after_in_child=_renew_prefix)


def _next_id() -> str:
    return f"{_prefix}-{next(_numbers):x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[T]):
    """The base of every operation; `T` is the type of its output.

    Attributes:
        id: Unique in this program and, by its random prefix, among programs.
        created: UTC seconds.
    """

    #: `family.verb`; set by `@operation`.
    name: ClassVar[str] = ""

    id: str = field(default_factory=_next_id, compare=False)
    created: float = field(default_factory=time.time, compare=False)

    def permissions(self) -> tuple[Permission, ...]:
        """Return what the gate must allow, with targets as the caller wrote them."""
        raise NotImplementedError


_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\.[a-z][a-z0-9]*(_[a-z0-9]+)*")
_registered: dict[str, type[Operation[object]]] = {}


def operation(name: str) -> Callable[[C], C]:
    """Register a frozen dataclass as the operation `name`.

    Args:
        name: `family.verb` in lower case, unique in the program.

    Raises:
        DefinitionError: The class is not a frozen dataclass over `Operation`, does not say its
            permissions, or the name is malformed or taken.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{name!r} cannot name an operation: expected 'family.verb' in lower case, "
            "such as 'file.read'",
            name=str(name),
        )

    def register(cls: C) -> C:
        problem = _problem_of(cls)
        if problem:
            raise DefinitionError(
                f"{getattr(cls, '__qualname__', cls)} cannot be the operation {name!r}: {problem}",
                name=name,
            )
        known = _registered.get(name)
        # A module that is imported anew (reload, doctest) defines its own operations again.
        if known is not None and (known.__module__, known.__qualname__) != (
            cls.__module__,
            cls.__qualname__,
        ):
            raise DefinitionError(
                f"the operation {name!r} exists already, as {known.__module__}."
                f"{known.__qualname__}; choose another name",
                name=name,
            )
        cls.name = name
        _registered[name] = cls
        return cls

    return register


def _problem_of(cls: object) -> str | None:  # noqa: PLR0911 - one answer per problem
    if not (isinstance(cls, type) and issubclass(cls, Operation)):
        return "it must be a subclass of Operation"
    if not is_dataclass(cls) or "__dataclass_fields__" not in vars(cls):
        return "it must be a dataclass; put @dataclass(frozen=True, slots=True) below @operation"
    parameters = vars(cls)["__dataclass_params__"]
    if not parameters.frozen:
        return "it must be frozen, since what was checked must be what is done"
    if cls.permissions is Operation.permissions:
        return "it must define permissions(self)"
    if inspect.iscoroutinefunction(cls.permissions):
        return "permissions(self) must be a plain method, not async"
    if len(inspect.signature(cls.permissions).parameters) != 1:
        return "permissions(self) takes no arguments"
    return None


def operations() -> dict[str, type[Operation[object]]]:
    """Return every registered operation by name."""
    return dict(_registered)
