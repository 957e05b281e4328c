"""Questions to people: what is asked once, and for whom an answer counts."""

from __future__ import annotations

import asyncio

from airssys.osl import Context, Permission, Principal
from airssys.osl.approval import ApprovalRequest, Approvals

READ = Permission("filesystem", "read", "/data/x")


def question(*callers: str) -> ApprovalRequest:
    context = Context(Principal("deputy"), callers=tuple(map(Principal, callers)))
    return ApprovalRequest(context, READ, "ask", "")


def test_a_denial_for_one_caller_says_nothing_about_another() -> None:
    asked = []

    async def person(request: ApprovalRequest) -> str | None:
        callers = tuple(caller.name for caller in request.context.callers)
        asked.append(callers)
        return None if callers == ("mallory",) else "carol"

    async def main() -> None:
        approvals = Approvals(person, 30.0)
        refused = await approvals.ask(question("mallory"))
        assert (refused.approved_by, refused.reason) == (None, "approval-refused")
        again = await approvals.ask(question("mallory"))
        assert again.reason == "approval-refused-before"
        for callers in ((), ("alice",), ("mallory", "alice")):
            assert (await approvals.ask(question(*callers))).approved_by == "carol"
        assert asked == [("mallory",), (), ("alice",), ("mallory", "alice")]

    asyncio.run(main())


def test_two_callers_do_not_share_one_answer() -> None:
    """Who approves for one has not seen the other."""
    both = asyncio.Event()
    asked = []

    async def person(request: ApprovalRequest) -> str | None:
        asked.append(request.context.callers[0].name)
        if len(asked) == 2:
            both.set()
        await both.wait()
        return request.context.callers[0].name

    async def main() -> None:
        approvals = Approvals(person, 30.0)
        answers = await asyncio.gather(
            approvals.ask(question("alice")), approvals.ask(question("bob"))
        )
        assert [answer.approved_by for answer in answers] == ["alice", "bob"]

    asyncio.run(main())


def test_a_question_that_nobody_answers_is_refused_in_time_and_withdrawn() -> None:
    withdrawn = []

    async def person(_request: ApprovalRequest) -> str | None:
        try:
            await asyncio.Event().wait()
        finally:
            withdrawn.append(True)
        return "carol"

    async def main() -> None:
        approvals = Approvals(person, 0.01)
        refused = await asyncio.wait_for(approvals.ask(question()), 20.0)
        assert (refused.approved_by, refused.reason) == (None, "approval-timeout")
        assert withdrawn == [True]
        again = await approvals.ask(question())
        assert again.reason == "approval-refused-before"

    asyncio.run(main())
