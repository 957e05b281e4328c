"""Host functions that a component is given: what they require, and for whom they act."""

from __future__ import annotations

import functools
import inspect
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from airssys._callers import callers
from airssys.osl import AccessDenied, ApprovalRequest, Permission, Principal
from airssys.osl.context import Standing
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.values import WitError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airssys.osl import OSL
    from airssys.wasm._native import Callers, Subject

__all__ = ["on_behalf", "requires"]

Function = TypeVar("Function", bound="Callable[..., Any]")

_MARK: Final = "_airssys_requires"
_FIELD: Final = re.compile(r"\{(\w+)\}")


class _Required(NamedTuple):
    """What `requires` leaves on a function."""

    capability: str
    signature: inspect.Signature
    denied: Any
    speaks: bool

    def target(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> str:
        """Return the capability that this call of the function needs."""
        if "{" not in self.capability:
            return self.capability
        bound = self.signature.bind(*arguments, **named)
        bound.apply_defaults()

        def segment(field: re.Match[str]) -> str:
            # An argument is one segment, whatever a guest wrote into it.
            return str(bound.arguments[field[1]]).replace("%", "%25").replace("/", "%2F")

        return _FIELD.sub(segment, self.capability)


def requires(
    capability: str, /, *, denied: Any = inspect.Parameter.empty
) -> Callable[[Function], Function]:
    """Have a host function need a capability of the kind `custom`.

    The gate of the host decides before the function runs, for the deployment whose component calls
    it, and records that. The component asks for it as `custom = [{ name = "crm.read/*" }]`.

    Args:
        capability: Its name, in segments joined by `/`. A parameter of the function in braces
            stands for its argument, as one segment: `crm.read/{customer}`.
        denied: The error that the component gets where it is refused, for functions whose WIT type
            is a `result`; without it the call traps, with `AccessDenied` as the cause.

    Raises:
        InvalidSetting: The function has no parameter of a name in braces.
    """

    def marked(function: Function) -> Function:
        signature = inspect.signature(function)
        for name in _FIELD.findall(capability):
            if name not in signature.parameters:
                raise InvalidSetting(
                    f"{function.__qualname__} requires {capability!r} and has no parameter "
                    f"{name!r}",
                    hint=f"it has {', '.join(signature.parameters) or 'none'}",
                )
        speaks = denied is not inspect.Parameter.empty
        setattr(function, _MARK, _Required(capability, signature, denied, speaks))
        return function

    return marked


def on_behalf(function: Callable[..., Any], system: OSL, subject: Subject) -> Callable[..., Any]:
    """Return a host function as the instances of one revision are given it.

    While it runs, operations of `airssys.osl` act as the deployment. What it requires is decided
    before.

    Args:
        function: What the embedder provides.
        system: By whose gate.
        subject: What instances of the revision act as.
    """
    required: _Required | None = getattr(function, _MARK, None)
    if required is not None:  # of a method, without the object that it is bound to
        required = required._replace(signature=inspect.signature(function))
    principal = Principal(subject.name)

    @functools.wraps(function, updated=())
    def plain(*arguments: Any, **named: Any) -> Any:
        with Standing(principal, system):
            if required is not None:
                _decide(required, required.target(arguments, named), system, _now(subject))
            result = function(*arguments, **named)
        # What a plain function made to be awaited acts as the deployment as well.
        return _acting(result, principal, system) if inspect.iscoroutine(result) else result

    @functools.wraps(function, updated=())
    async def awaited(*arguments: Any, **named: Any) -> Any:
        with Standing(principal, system):
            if required is not None:
                target = required.target(arguments, named)
                await _decide_or_ask(required, target, system, _now(subject))
            return await function(*arguments, **named)

    call = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    return awaited if inspect.iscoroutinefunction(call) else plain


async def _acting(result: Awaitable[Any], principal: Principal, system: OSL) -> Any:
    with Standing(principal, system):
        return await result


def _now(subject: Subject) -> Subject:
    """The component in the chain of callers for which it acts."""
    served = callers.get()
    return subject if served is None else cast("Callers", served).subject


def _decide(required: _Required, target: str, system: OSL, subject: Subject) -> None:
    decision = system.gate.decide(subject, "custom", "use", target)
    if not decision.allowed:
        why = decision.reason
        if decision.effect == "ask":
            why = "a person must approve it, for which only an async host function can wait"
        raise _refusal(required, subject, target, decision.rule, why)


async def _decide_or_ask(required: _Required, target: str, system: OSL, subject: Subject) -> None:
    decision = system.gate.decide(subject, "custom", "use", target)
    if decision.effect == "ask" and not decision.allowed:
        request = ApprovalRequest(
            Standing(Principal(subject.name), system).context,
            Permission("custom", "use", target),
            decision.rule,
            "",
        )
        verdict = await system.approvals.ask(request)
        if verdict.approved_by is None:
            raise _refusal(required, subject, target, decision.rule, verdict.reason)
        decision = system.gate.decide(
            subject, "custom", "use", target, approved_by=verdict.approved_by
        )
    if not decision.allowed:
        raise _refusal(required, subject, target, decision.rule, decision.reason)


def _refusal(required: _Required, subject: Subject, target: str, rule: str, why: str) -> Exception:
    if required.speaks:
        return WitError(required.denied)
    return AccessDenied(
        f"'{subject.name}' may not use {target!r}: {why}",
        principal=subject.name,
        kind="custom",
        access="use",
        target=target,
        rule=rule,
    )
