"""Decisions that wait for a person."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from airssys.osl.context import Context
    from airssys.osl.operation import Permission

__all__ = ["ApprovalRequest", "Approver", "Verdict"]

# A refused request is not put to the approver again for this many seconds.
_REMEMBER_SECONDS = 60.0
_REMEMBERED = 10_000
# New questions per principal per minute; beyond it they are refused without asking.
_QUESTIONS_PER_MINUTE = 30


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What an approver is asked.

    Attributes:
        context: Who wants it, with the chain of callers.
        permission: What, on the resolved target.
        rule: The rule that says to ask.
        operation_id: Id of the operation that waits.
    """

    context: Context
    permission: Permission
    rule: str
    operation_id: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a question: `approved_by` names who allowed it, `reason` why it was refused."""

    approved_by: str | None
    reason: str = ""


#: Answers with the name of who approves, or `None` to refuse.
Approver: TypeAlias = Callable[[ApprovalRequest], Awaitable[str | None]]

_Key: TypeAlias = tuple[str, "Permission"]


class Approvals:
    """Puts each question once: callers that want the same thing share one answer."""

    def __init__(self, approver: Approver | None, timeout: float) -> None:
        self._approver = approver
        self._timeout = timeout
        self._pending: dict[_Key, asyncio.Task[Verdict]] = {}
        self._refused: OrderedDict[_Key, float] = OrderedDict()
        self._asked: dict[str, list[float]] = {}

    async def ask(self, request: ApprovalRequest) -> Verdict:
        """Wait for the approver, at most the timeout.

        Cancelling one of several waiting callers leaves the question standing for the others;
        cancelling the last withdraws it.
        """
        if self._approver is None:
            return Verdict(None, "approval-unavailable")
        key = (request.context.principal.name, request.permission)
        now = time.monotonic()
        if self._refused.get(key, 0.0) > now:
            return Verdict(None, "approval-refused-before")
        task = self._pending.get(key)
        if task is None:
            if not self._may_ask(request.context.principal.name, now):
                return Verdict(None, "approval-rate-limited")
            task = asyncio.create_task(self._put(self._approver, request))
            self._pending[key] = task
            task.add_done_callback(lambda _: self._pending.pop(key, None))
        verdict = await _shared(task)
        if verdict.approved_by is None:
            self._refused[key] = time.monotonic() + _REMEMBER_SECONDS
            self._refused.move_to_end(key)
            if len(self._refused) > _REMEMBERED:
                self._refused.popitem(last=False)
        return verdict

    def forget(self) -> None:
        """Forget refusals: new rules deserve new questions."""
        self._refused.clear()

    def _may_ask(self, name: str, now: float) -> bool:
        recent = [at for at in self._asked.get(name, ()) if at > now - 60]
        if len(recent) >= _QUESTIONS_PER_MINUTE:
            self._asked[name] = recent
            return False
        if len(self._asked) > _REMEMBERED:
            self._asked.clear()
        self._asked[name] = [*recent, now]
        return True

    async def _put(self, approver: Approver, request: ApprovalRequest) -> Verdict:
        try:
            async with asyncio.timeout(self._timeout) as limit:
                name = await approver(request)
        except TimeoutError:
            if not limit.expired():
                raise
            return Verdict(None, "approval-timeout")
        return Verdict(name) if name else Verdict(None, "approval-refused")


_waiting: dict[asyncio.Task[Verdict], int] = {}


async def _shared(task: asyncio.Task[Verdict]) -> Verdict:
    _waiting[task] = _waiting.get(task, 0) + 1
    try:
        return await asyncio.shield(task)
    finally:
        _waiting[task] -= 1
        if _waiting[task] == 0:
            del _waiting[task]
            if not task.done():
                task.cancel()
