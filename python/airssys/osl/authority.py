"""The gate as one run of an operation sees it: bound to who acts and to what was asked."""

from __future__ import annotations

import asyncio
import errno
import functools
from typing import TYPE_CHECKING, TypeVar, cast

from airssys.errors import AirsSysError
from airssys.osl._native import typed
from airssys.osl.approval import ApprovalRequest
from airssys.osl.errors import AccessDenied, ApprovalDenied
from airssys.osl.operation import Permission

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airssys.osl._native import Decision, Gate, Subject
    from airssys.osl.context import Context
    from airssys.osl.middleware.chain import Call
    from airssys.osl.operation import AnyKind, Operation
    from airssys.osl.system import OSL

__all__ = ["Authority"]

T = TypeVar("T")


class Authority:
    """What an executor gets to touch the system with.

    Each method decides on the object itself, has the decision recorded, and raises `AccessDenied`
    or `ApprovalDenied` before anything has happened.
    """

    __slots__ = ("_call", "decided", "gate", "subject", "system")

    def __init__(self, call: Call) -> None:
        self.system: OSL = call.system
        self.gate: Gate = call.system.gate
        self.subject: Subject = call.subject
        self._call = call
        #: Whether the gate was asked at all.
        self.decided = False

    @property
    def context(self) -> Context:
        """The context that the operation runs in."""
        return self._call.context

    @property
    def operation(self) -> Operation[object]:
        """The operation that this authority was made for."""
        return self._call.operation

    async def decide(
        self,
        kind: AnyKind,
        access: str,
        target: str | bytes,
        *,
        address: str | None = None,
        transport: str = "tcp",
        arguments: Sequence[str | bytes] | None = None,
        detail: str | None = None,
    ) -> Decision:
        """Decide an access that has no descriptor to be decided on."""
        self.decided = True
        decide = functools.partial(
            self.gate.decide,
            self.subject,
            kind,
            access,
            target,
            address=address,
            transport=transport,
            arguments=arguments,
            detail=detail,
        )
        return await self.settle(kind, access, decide(), decide)

    async def settle(
        self, kind: AnyKind, access: str, decision: Decision, decide: Callable[..., Decision]
    ) -> Decision:
        """Wait for approval where the rules ask for it, and raise what is then refused.

        Args:
            kind: AnyKind of what is accessed.
            access: What is done.
            decision: The first answer of the gate.
            decide: Asks it again, with the name of who approved as `approved_by`.
        """
        if decision.effect == "ask" and not decision.allowed:
            decision = decide(approved_by=await self._approval(kind, access, decision))
        if decision.delay:
            await asyncio.sleep(decision.delay)
        if not decision.allowed:
            raise self.denied(kind, access, decision)
        return decision

    async def acquire(
        self,
        kind: AnyKind,
        access: str,
        attempt: Callable[[str | None], T],
        *,
        in_thread: bool = False,
    ) -> T:
        """Run a native function that resolves, decides, records and acts in one step.

        Args:
            kind: AnyKind of what is accessed, for the approver.
            access: What is done, for the approver.
            attempt: Gets the name of who approved, or `None`.
            in_thread: Run it in a worker thread, since it can block.

        Raises:
            AccessDenied: The gate refused.
            ApprovalDenied: It asked, and nobody approved in time.
            OSError: The system refused.
        """
        self.decided = True
        approved_by: str | None = None
        while True:
            try:
                if in_thread:
                    acquired = await asyncio.to_thread(attempt, approved_by)
                else:
                    acquired = attempt(approved_by)
            except OSError as error:
                # Links in a circle or through /proc and endless names lead to nothing to decide on.
                if error.errno in {errno.ELOOP, errno.ENAMETOOLONG}:
                    path = error.filename if error.filename is not None else ""
                    self.record_refusal(kind, access, path, "unresolvable")
                raise
            except AirsSysError as error:
                if error.code != "approval-required" or approved_by is not None:
                    raise await self._refusal(kind, access, error) from None
                decision = cast("Decision", error.context["decision"])
            else:
                if self.system.audit_rate is not None:
                    await self._slow_down(acquired)
                return acquired
            approved_by = await self._approval(kind, access, decision)

    def record_refusal(self, kind: str, access: str, target: str | bytes, rule: str) -> int:
        """Record a refusal that the gate was not asked about, and return its number."""
        self.decided = True
        return self.system.audit.record(self.subject, f"{kind}.{access}", target, "deny", rule=rule)

    async def _slow_down(self, acquired: object) -> None:
        """Wait as long as the log says that this principal should, where it says so."""
        decision = getattr(acquired, "decision", acquired)
        delay = getattr(decision, "delay", 0.0)
        if delay:
            await asyncio.sleep(delay)

    async def _refusal(self, kind: AnyKind, access: str, error: AirsSysError) -> AirsSysError:
        decision = cast("Decision | None", error.context.get("decision"))
        if decision is None:
            refusal = typed(error)
            if isinstance(refusal, AccessDenied):
                # The rules allowed the path, but what is there may not be used: its own record.
                refusal.context["sequence"] = self.record_refusal(
                    kind, access, str(error.context.get("path", "")), error.code
                )
            return refusal
        if decision.delay:
            await asyncio.sleep(decision.delay)
        if error.code == "access-denied":
            return self.denied(kind, access, decision)
        return typed(error)

    async def _approval(self, kind: AnyKind, access: str, decision: Decision) -> str:
        permission = Permission(kind, access, decision.target)
        clock = self._call.clock
        if clock is not None:
            clock.pause()
        try:
            verdict = await self.system.approvals.ask(
                ApprovalRequest(self.context, permission, decision.rule, self.operation.id)
            )
        finally:
            if clock is not None:
                clock.resume()
        if verdict.approved_by is not None:
            return verdict.approved_by
        sequence = self.record_refusal(kind, access, decision.target, verdict.reason)
        raise ApprovalDenied(
            f"{self.subject.name!r} may {access} {decision.target!r} only with approval, and got "
            f"none ({verdict.reason})",
            principal=self.subject.name,
            operation=self.operation.name,
            kind=kind,
            access=access,
            target=decision.target,
            rule=decision.rule,
            reason=verdict.reason,
            sequence=sequence,
        )

    def denied(self, kind: str, access: str, decision: Decision) -> AccessDenied:
        """Return the error for a refusal."""
        return AccessDenied(
            f"{self.subject.name!r} may not {access} {decision.target!r}: {decision.reason}",
            principal=self.subject.name,
            operation=self.operation.name,
            kind=kind,
            access=access,
            target=decision.target,
            rule=decision.rule,
            decision=decision,
            sequence=decision.sequence,
        )
