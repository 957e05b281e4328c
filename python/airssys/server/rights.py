"""Operations on rights: grants, and accesses that wait for a person."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec

from airssys.osl.operation import AnyKind, Permission
from airssys.server.operation import Asked, Operation
from airssys.wasm.host_errors import UnknownDeployment
from airssys.wasm.remote.errors import InvalidRequest
from airssys.wasm.remote.wire import Answer, Explanation, GrantRequest, RevokeRequest
from airssys.wasm.security.approval_records import ApprovalRecords, PendingApproval
from airssys.wasm.security.explaining import explain_in_force, find_deployed
from airssys.wasm.security.grant import Grant, RequestState

if TYPE_CHECKING:
    from typing import Literal

    from airssys.wasm.security.explaining import Told

__all__ = ["OPERATIONS"]


async def _grants(asked: Asked) -> tuple[Grant, ...]:
    return asked.service.host.deployment(asked.name).grants()


async def _requests(asked: Asked) -> tuple[RequestState, ...]:
    return asked.service.host.deployment(asked.name).requests()


async def _suggestion(asked: Asked) -> str:
    return await asked.service.in_thread(asked.service.host.deployment(asked.name).suggest)


async def _grant(asked: Asked) -> tuple[Grant, ...]:
    what = await asked.json(GrantRequest)
    if what.places is not None and what.capabilities is not None:
        raise InvalidRequest("a grant names places or capabilities, not both")
    made = await asked.service.host.deployment(asked.name).grant(
        what.capabilities if what.places is None else what.places,
        why=what.why,
        until=_moment(what.until),
        act_as=what.act_as,
        caller=what.caller,
        who=asked.who(what.who),
    )
    asked.detail = ", ".join(f"{each.name} {each}" for each in made)
    return made


async def _revoke(asked: Asked) -> tuple[Grant, ...]:
    what = await asked.json(RevokeRequest)
    taken = await asked.service.host.deployment(asked.name).revoke(
        "all" if what.grants is None else what.grants,
        wait=what.wait,
        why=what.why,
        who=asked.who(what.who),
    )
    asked.detail = ", ".join(each.name for each in taken)
    return taken


async def _explain(asked: Asked) -> Explanation:
    try:
        kind: AnyKind = msgspec.convert(asked.text("kind"), AnyKind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"kind={asked.text('kind')!r}: {error}") from None
    wanted = Permission(kind, asked.text("access"), asked.text("target"))
    core = asked.service.core

    def explain() -> Told:
        deployed = find_deployed(core.registry, asked.name)
        if deployed is None:
            raise UnknownDeployment(asked.name, [each.name for each in core.registry.deployments()])
        address = asked.text("address") or None
        return explain_in_force(core.osl, deployed, wanted, address=address)

    told = await asked.service.in_thread(explain)
    explained = told.explained
    return Explanation(
        kind=explained.permission.kind,
        access=explained.permission.access,
        target=explained.permission.target,
        seen=told.seen,
        effect=explained.effect,
        rule=explained.rule,
        reason=explained.reason,
        position=explained.position,
        considered=explained.considered,
        needed=told.needed,
    )


async def _pending(asked: Asked) -> tuple[PendingApproval, ...]:
    return await asked.service.in_thread(_records(asked).pending)


async def _approve(asked: Asked) -> PendingApproval:
    return await _answer(asked, "approve")


async def _deny(asked: Asked) -> PendingApproval:
    return await _answer(asked, "deny")


async def _answer(asked: Asked, answer: Literal["approve", "deny"]) -> PendingApproval:
    what = await asked.json(Answer)
    number = asked.target
    if not number.isdigit():
        raise InvalidRequest(f"{number!r} is no number of a question")
    found = await asked.service.in_thread(
        _records(asked).answer, int(number), answer, who=asked.principal.name, why=what.why
    )
    asked.detail = f"{found.principal} {found.kind} {found.access} {found.target}"
    return found


def _records(asked: Asked) -> ApprovalRecords:
    return ApprovalRecords(asked.service.core.registry)


def _moment(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidRequest(f"until={text!r}: expected a moment as 2026-01-31T12:00:00Z")
    return found


_NAME = "/v1/deployments/{name}"

OPERATIONS = (
    Operation(
        "GET",
        _NAME + ":grants",
        "read",
        "List what is granted to a deployment, the oldest grant first.",
        _grants,
        gives=list[Grant],
    ),
    Operation(
        "GET",
        _NAME + ":requests",
        "read",
        "List what the live revision asks for, and what is granted of it.",
        _requests,
        gives=list[RequestState],
    ),
    Operation(
        "GET",
        _NAME + ":suggestion",
        "read",
        "Show the least request that covers what was used while learning.",
        _suggestion,
        gives=str,
    ),
    Operation(
        "GET",
        _NAME + ":explain",
        "read",
        "Say how an access would be decided, by which rule, and what it would need.",
        _explain,
        gives=Explanation,
        query={
            "kind": "The kind of the capability.",
            "access": "What is to be done.",
            "target": "On what; a path as the component sees it.",
            "address": "What a host name leads to.",
        },
    ),
    Operation(
        "POST",
        _NAME + ":grant",
        "approve",
        "Grant capabilities, durably and at once.",
        _grant,
        takes=GrantRequest,
        gives=list[Grant],
        records="grant",
    ),
    Operation(
        "POST",
        _NAME + ":revoke",
        "approve",
        "Take grants back: what is open stops at its next operation.",
        _revoke,
        takes=RevokeRequest,
        gives=list[Grant],
        records="revoke",
    ),
    Operation(
        "GET",
        "/v1/approvals",
        "read",
        "List the accesses that wait for a person, the oldest first.",
        _pending,
        gives=list[PendingApproval],
    ),
    Operation(
        "POST",
        "/v1/approvals/{number}:approve",
        "approve",
        "Allow an access that waits; the first answer counts.",
        _approve,
        takes=Answer,
        gives=PendingApproval,
        records="approve",
    ),
    Operation(
        "POST",
        "/v1/approvals/{number}:deny",
        "approve",
        "Refuse an access that waits.",
        _deny,
        takes=Answer,
        gives=PendingApproval,
        records="deny",
    ),
)
