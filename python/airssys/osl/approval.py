"""Decisions that wait for a person."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from airssys.osl._native import Questions
from airssys.osl.context import Context, Principal
from airssys.osl.operation import Permission
from airssys.osl.portal import portal

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from airssys.osl.operation import AnyKind

__all__ = ["ApprovalRequest", "Approvals", "Approver", "Verdict"]

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
        operation_id: Id of the operation that waits; empty for a component.
        reason: Why a component asks for the right itself, by `capabilities.request`, and not for
            one access; None otherwise. What is approved is then granted to it for good.
    """

    context: Context
    permission: Permission
    rule: str
    operation_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a question: `approved_by` names who allowed it, `reason` why it was refused."""

    approved_by: str | None
    reason: str = ""


#: Answers with the name of who approves, or `None` to refuse.
Approver: TypeAlias = Callable[[ApprovalRequest], Awaitable[str | None]]

_log = logging.getLogger("airssys.osl")

#: Who wants it, on whose behalf, and what.
_Key: TypeAlias = tuple[str, tuple[str, ...], Permission]


@dataclass(slots=True, eq=False)
class _Question:
    """One question that is put, and how many wait for its answer."""

    loop: asyncio.AbstractEventLoop
    verdict: Future[Verdict] = field(default_factory=Future)
    waiting: int = 0
    task: asyncio.Task[None] | None = None

    def put(self, work: Coroutine[Any, Any, Verdict]) -> None:
        """Begin to ask; on the loop."""
        if self.verdict.done():
            work.close()
            return
        self.task = self.loop.create_task(self._answer(work))

    async def _answer(self, work: Coroutine[Any, Any, Verdict]) -> None:
        try:
            self.verdict.set_result(await work)
        except Exception as error:  # noqa: BLE001 - it is the answer to all who wait
            self.verdict.set_exception(error)
        finally:
            if not self.verdict.done():
                self.verdict.set_result(Verdict(None, "approval-unavailable"))

    def withdraw(self) -> None:
        """Stop asking; on the loop."""
        if self.task is not None:
            self.task.cancel()
        elif not self.verdict.done():
            self.verdict.set_result(Verdict(None, "approval-unavailable"))


class Approvals:
    """Puts each question once: callers that want the same thing share one answer.

    For operations of Python and for components alike, from every thread and event loop. The
    approver runs on the event loop that this object was made on, while that runs; else on the
    loop of who asks, and for components of programs without a loop on one in a thread.

    Args:
        approver: Answers the questions; without one they are refused.
        timeout: Seconds after which an unanswered question is a refusal.
    """

    def __init__(self, approver: Approver | None, timeout: float) -> None:
        self._approver = approver
        self._timeout = timeout
        try:
            self._home: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._home = None
        self._lock = threading.Lock()
        self._pending: dict[_Key, _Question] = {}
        self._refused: OrderedDict[_Key, float] = OrderedDict()
        self._asked: dict[str, list[float]] = {}
        #: Told, on a thread, of a right that somebody gave to a component which asked for it.
        self.granted: Callable[[ApprovalRequest, str], None] | None = None
        # Of components, by the number that the gate gave them.
        self._serving: dict[int, Future[None]] = {}
        self._closed = False
        #: Where gates of components put their questions.
        self.questions = Questions(weakref.ref(self), timeout)

    def run_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the approver run on this loop, unless that on which it runs is alive."""
        if self._home is None or not self._home.is_running():
            self._home = loop

    async def ask(self, request: ApprovalRequest) -> Verdict:
        """Wait for the approver, at most the timeout.

        Cancelling one of several waiting callers leaves the question standing for the others;
        cancelling the last withdraws it.
        """
        if self._approver is None:
            return Verdict(None, "approval-unavailable")
        # What was said about one caller says nothing about another.
        callers = tuple(caller.name for caller in request.context.callers)
        key = (request.context.principal.name, callers, request.permission)
        found = self._question(key)
        if isinstance(found, Verdict):
            return found
        question, new = found
        if new:
            work = self._put(self._approver, request, key)
            if question.loop is asyncio.get_running_loop():
                question.put(work)
            else:
                question.loop.call_soon_threadsafe(question.put, work)
        try:
            # Shielded: whoever is cancelled here does not answer for the others.
            return await asyncio.shield(asyncio.wrap_future(question.verdict))
        finally:
            self._leave(key, question)

    def forget(self) -> None:
        """Forget refusals: new rules deserve new questions."""
        with self._lock:
            self._refused.clear()

    def close(self) -> None:
        """Refuse what waits and whatever components ask from now on."""
        self.questions.close()
        with self._lock:
            self._closed = True
            serving = list(self._serving.values())
        for waiting in serving:
            waiting.cancel()

    # -- called by the carrier of native questions, on a thread of its own

    def put(
        self,
        number: int,
        principal: str,
        roles: list[str],
        callers: list[str],
        session: str | None,
        trace_id: str | None,
        kind: AnyKind,
        access: str,
        target: str,
        rule: str,
        reason: str | None,
    ) -> None:
        """Put the question of a component; `Questions.answer` gets what came of it."""
        context = Context(
            Principal(principal, frozenset(roles)),
            session=session or "",
            trace_id=trace_id or "",
            callers=tuple(Principal(name) for name in callers),
        )
        request = ApprovalRequest(context, Permission(kind, access, target), rule, "", reason)
        loop = self._home
        if loop is None or not loop.is_running():
            loop = portal.loop()
        waiting = asyncio.run_coroutine_threadsafe(self._serve(number, request), loop)
        with self._lock:
            self._serving[number] = waiting
            closed = self._closed
        waiting.add_done_callback(lambda _: self._serving.pop(number, None))
        if closed:  # while this was put: `close` has not seen it
            waiting.cancel()

    def withdraw(self, number: int) -> None:
        """Stop waiting for the answer to the question of a component."""
        with self._lock:
            waiting = self._serving.get(number)
        if waiting is not None:
            waiting.cancel()

    # --

    async def _serve(self, number: int, request: ApprovalRequest) -> None:
        verdict = Verdict(None, "approval-failed")
        try:
            found = await self.ask(request)
            if found.approved_by is not None and request.reason is not None and self.granted:
                await asyncio.to_thread(self.granted, request, found.approved_by)
            verdict = found
        except Exception:  # noqa: BLE001 - the approver is the program's; this is where it ends
            _log.exception("the approver failed; %s is refused", request.permission)
        finally:
            self.questions.answer(number, verdict.approved_by, verdict.reason)

    def _question(self, key: _Key) -> Verdict | tuple[_Question, bool]:
        name, now = key[0], time.monotonic()
        with self._lock:
            if self._refused.get(key, 0.0) > now:
                return Verdict(None, "approval-refused-before")
            question = self._pending.get(key)
            new = question is None
            if question is None:
                if not self._may_ask(name, now):
                    return Verdict(None, "approval-rate-limited")
                home = self._home
                running = home is not None and home.is_running()
                loop = cast("asyncio.AbstractEventLoop", home if running else None)
                question = _Question(loop or asyncio.get_running_loop())
                self._pending[key] = question
            question.waiting += 1
            return question, new

    def _leave(self, key: _Key, question: _Question) -> None:
        with self._lock:
            question.waiting -= 1
            last = question.waiting == 0 and not question.verdict.done()
            if (last or question.verdict.done()) and self._pending.get(key) is question:
                del self._pending[key]
        if last and not question.loop.is_closed():
            question.loop.call_soon_threadsafe(question.withdraw)

    def _may_ask(self, name: str, now: float) -> bool:
        recent = [at for at in self._asked.get(name, ()) if at > now - 60]
        if len(recent) >= _QUESTIONS_PER_MINUTE:
            self._asked[name] = recent
            return False
        if len(self._asked) > _REMEMBERED:
            self._asked.clear()
        self._asked[name] = [*recent, now]
        return True

    async def _put(self, approver: Approver, request: ApprovalRequest, key: _Key) -> Verdict:
        verdict = await self._verdict(approver, request)
        if verdict.approved_by is None:
            with self._lock:
                self._refused[key] = time.monotonic() + _REMEMBER_SECONDS
                self._refused.move_to_end(key)
                if len(self._refused) > _REMEMBERED:
                    self._refused.popitem(last=False)
        return verdict

    async def _verdict(self, approver: Approver, request: ApprovalRequest) -> Verdict:
        try:
            async with asyncio.timeout(self._timeout) as limit:
                name = await approver(request)
        except TimeoutError:
            if not limit.expired():
                raise
            return Verdict(None, "approval-timeout")
        return Verdict(name) if name else Verdict(None, "approval-refused")
