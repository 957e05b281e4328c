"""Who acts: principals, and the execution context that carries one through a program."""

from __future__ import annotations

import secrets
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from weakref import WeakValueDictionary

from airssys._callers import callers
from airssys.osl._native import Callers
from airssys.osl.errors import ContextExpired, NoContext, OslError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token
    from types import TracebackType

    from airssys.osl._native import Subject
    from airssys.osl.system import OSL

__all__ = ["Attribute", "Context", "Principal", "current_context", "current_system"]

#: What a condition can look at: scalars, and sets of tags.
Attribute: TypeAlias = "str | int | float | bool | tuple[str, ...]"


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone rules speak about: a person, a service, a plug-in.

    Attributes:
        name: Slash-separated name, such as `alice` or `acme/resizer`.
        roles: Names of roles held in addition to those the policy assigns.
        attributes: Facts about the principal that conditions may test.
    """

    name: str
    roles: frozenset[str] = frozenset()
    attributes: Mapping[str, Attribute] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse names that could be mistaken for a pattern or forge a log line."""
        if not self.name or not self.name.isprintable() or any(c in self.name for c in "*? :"):
            raise OslError(
                f"{self.name!r} cannot name a principal: expected printable characters without "
                "blanks, ':' and wildcards, such as 'acme/resizer'",
                code="invalid-principal",
                name=self.name,
            )

    @property
    def namespace(self) -> str:
        """The first segment of the name: what a tenant is. Empty for a name of one segment."""
        head, slash, _ = self.name.partition("/")
        return head if slash else ""


@dataclass(frozen=True, slots=True)
class Context:
    """One execution on behalf of a principal.

    Attributes:
        principal: Who acts.
        session: Name of the session, for the audit log.
        attributes: Facts about the situation (`source`, `tags`, …) that conditions may test.
        expires: UTC seconds after which every operation is refused; `None` for never.
        expires_monotonic: The same moment on the monotonic clock, so that setting the wall clock
            back does not lengthen a right; whichever ends first counts.
        trace_id: 32 hexadecimal digits that tie records together.
        callers: The principals that called, the first caller first.
    """

    principal: Principal
    session: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict, hash=False)
    expires: float | None = None
    expires_monotonic: float | None = None
    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))
    callers: tuple[Principal, ...] = ()

    def check_expiry(self) -> None:
        """Raise `ContextExpired` once either clock has passed the expiry."""
        if self.expires is None and self.expires_monotonic is None:
            return
        if (self.expires is not None and time.time() >= self.expires) or (
            self.expires_monotonic is not None and time.monotonic() >= self.expires_monotonic
        ):
            raise ContextExpired(
                f"the context of {self.principal.name!r} has expired; enter a new one",
                principal=self.principal.name,
                session=self.session,
            )


#: Pipelines by the number of their gate: what a host function does for a component runs through
#: that of the component's gate.
systems: WeakValueDictionary[int, OSL] = WeakValueDictionary()


class Execution:
    """A context, the pipeline it was entered on, and what the native gate knows it by.

    Args:
        context: Who acts.
        system: The pipeline; None where a component acts whose gate is no pipeline's.
        caller: The block around this one.
        served: The chain of those who called, where they did so after that block was entered.
    """

    __slots__ = ("_rules", "_subject", "caller", "chain", "context", "served", "system")

    def __init__(
        self,
        context: Context,
        system: OSL | None,
        caller: Execution | None,
        served: Callers | None = None,
    ) -> None:
        self.context = context
        self.system = system
        self.caller = caller
        self.served = served
        #: For whom everything acts that is called from the block.
        self.chain: Callers | None = None
        self._subject: Subject | None = None
        self._rules: object = None

    def subject(self, system: OSL) -> Subject:
        """Return the native subject, made anew when enforcement has changed."""
        if system is not self.system:
            return self._make(system)
        rules = system.enforcement_state
        if self._subject is None or self._rules is not rules:
            self._subject = self._make(system)
            self._rules = rules
        return self._subject

    def _make(self, system: OSL) -> Subject:
        if self.served is not None:
            return system.subject_of(self.context, callers=self.served)
        caller = self.caller.subject(system) if self.caller is not None else None
        return system.subject_of(self.context, caller)


class ComponentExecution(Execution):
    """What a host function does for the component that called it."""

    __slots__ = ()

    def __init__(self, served: Callers, outer: Execution | None) -> None:
        context = Context(Principal(served.subject.name), callers=_named(served))
        system = systems.get(served.gate)
        if system is None and outer is not None:
            system = outer.system
        super().__init__(context, system, None, served)

    def subject(self, system: OSL) -> Subject:  # noqa: ARG002 - the component's own, anywhere
        """Return the component as the gate knows it, acting for those who called it."""
        assert self.served is not None  # noqa: S101 - made with it
        return self.served.subject


_current: ContextVar[Execution | None] = ContextVar("airssys_osl_execution", default=None)


def _nearest() -> tuple[Execution | None, Callers | None]:
    """Return the block that the code here is in, and who called since it was entered."""
    outer, served = _current.get(), cast("Callers | None", callers.get())
    if outer is not None and outer.chain is served:
        return outer, None
    return outer, served


class Acting:
    """Makes a context the current one for a `with` block; made by `OSL.acting_as`."""

    __slots__ = ("_execution", "_served", "_token")

    def __init__(self, context: Context, system: OSL) -> None:
        outer, served = _nearest()
        self._execution = Execution(context, system, outer, served)
        self._token: Token[Execution | None] | None = None
        self._served: Token[Any] | None = None

    def __enter__(self) -> Context:
        execution = self._execution
        assert execution.system is not None  # noqa: S101 - made with it
        if execution.chain is None:
            execution.chain = Callers(execution.subject(execution.system))
        self._token = _current.set(execution)
        self._served = callers.set(execution.chain)
        return execution.context

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._token is not None  # noqa: S101 - `with` enters before it exits
        assert self._served is not None  # noqa: S101 - as above
        callers.reset(self._served)
        _current.reset(self._token)


class Standing(Execution):
    """An execution of its own for a `with` block, whose context is made where somebody looks at it.

    For code that runs often on behalf of a component and seldom touches the system: it acts as the
    component, for those who called that.
    """

    __slots__ = ("_made", "_principal", "_token")

    def __init__(self, principal: Principal, system: OSL) -> None:
        self._principal = principal
        self._made: Context | None = None
        self._subject = None
        self._rules = None
        self.system = system
        self.caller = _current.get()
        self.chain = self.served = cast("Callers | None", callers.get())

    @property
    def context(self) -> Context:  # type: ignore[override] # made late
        """The context, made now."""
        if self._made is None:
            outer = self.caller.context if self.caller is not None else None
            called = () if self.served is None else _named(self.served)
            self._made = (
                Context(self._principal, callers=called)
                if outer is None
                else Context(self._principal, trace_id=outer.trace_id, callers=called)
            )
        return self._made

    def subject(self, system: OSL) -> Subject:
        """Return code of the component's name, acting for those who called the component."""
        if self.served is None:
            return super().subject(system)
        if self._subject is None:
            self._subject = self.served.subject.as_code()
        return self._subject

    def __enter__(self) -> None:
        self._token = _current.set(self)

    def __exit__(self, *error: object) -> None:
        _current.reset(self._token)


def _named(served: Callers) -> tuple[Principal, ...]:
    """Those for whom a component acts, but for what stands for several."""
    return tuple(Principal(name) for name in served.subject.callers if " " not in name)


def _present() -> Execution | None:
    outer, served = _nearest()
    return outer if served is None else ComponentExecution(served, outer)


def current_execution() -> Execution:
    """Return context and pipeline of the caller, or raise `NoContext`."""
    execution = _present()
    if execution is None:
        raise NoContext(
            "no principal is acting here, so nothing is allowed; "
            "run the operation inside `with system.acting_as(Principal(...)):`",
        )
    return execution


def maybe_context() -> Context | None:
    """Return the context of the caller, or `None` outside any."""
    execution = _present()
    return execution.context if execution is not None else None


def current_context() -> Context:
    """Return the context of the caller.

    In a host function that is the component that called it, for those who called the component.

    Raises:
        NoContext: The caller is outside any context. There is no default principal.
    """
    return current_execution().context


def current_system() -> OSL:
    """Return the pipeline that operations of the caller run through.

    Raises:
        NoContext: The caller is outside any context, or acts for a component whose gate is no
            pipeline's.
    """
    system = current_execution().system
    if system is None:
        raise NoContext(
            "a component acts here, whose gate is that of no pipeline; "
            "run the operation with one: `await system.run(...)`",
        )
    return system
