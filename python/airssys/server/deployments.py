"""Operations on deployments: look, deploy, call, roll back, remove."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any, cast

from airssys.errors import AirsSysError
from airssys.server.guard import ToldError
from airssys.server.logs import level_of
from airssys.server.operation import Asked, Operation, packed
from airssys.wasm.accounting import DeploymentStatistics
from airssys.wasm.actors.log_line import LogLine
from airssys.wasm.actors.settings import ActorSettings
from airssys.wasm.contracts.required import Required
from airssys.wasm.delivery.strategies import strategy_from
from airssys.wasm.limits import Limits
from airssys.wasm.plain_values import plain
from airssys.wasm.quotas.usage import Usage
from airssys.wasm.remote import values
from airssys.wasm.remote.errors import InvalidRequest
from airssys.wasm.remote.wire import (
    CallRequest,
    CallResult,
    DeploymentState,
    DeployRequest,
    ListedDeployment,
    ReviewRequest,
    RollbackRequest,
    UploadResult,
)
from airssys.wasm.revision import Revision, RolloutRecord, Settings
from airssys.wasm.security.mounts import mounts_from
from airssys.wasm.security.review import Review
from airssys.wasm.settings import settings_from
from airssys.wasm.values import Err, GuestError, Ok
from airssys.wasm.wasi import Directory

if TYPE_CHECKING:
    from starlette.responses import Response

    from airssys.wasm.actors.log_line import LogLevel
    from airssys.wasm.deployment import Deployment

__all__ = ["OPERATIONS", "effective", "state_of"]

#: Bytes above which values are read on another thread.
_LARGE = 1 << 18


def state_of(deployment: Deployment) -> DeploymentState:
    """Return how a deployment is now."""
    return DeploymentState(
        name=deployment.name,
        revision=deployment.revision,
        held=deployment.held,
        exports=deployment.exports,
        statistics=deployment.statistics(),
    )


async def _list(asked: Asked) -> list[DeploymentState]:
    return [state_of(each) for each in asked.service.host.deployments()]


async def _records(asked: Asked) -> list[ListedDeployment]:
    registry = asked.service.core.registry

    def look() -> list[ListedDeployment]:
        return [
            ListedDeployment(deployment=each, live=registry.revision(each.name, each.live))
            for each in registry.deployments()
        ]

    return await asked.service.in_thread(look)


async def _show(asked: Asked) -> DeploymentState:
    return state_of(_of(asked))


async def _implements(asked: Asked) -> None:
    what = await asked.json(Required)
    stored = asked.service.core.intake.stored
    digest = _of(asked).revision.digest
    await asked.service.in_thread(lambda: what.check(stored(digest)))


async def _history(asked: Asked) -> tuple[Revision, ...]:
    return await asked.service.in_thread(_of(asked).history)


async def _rollouts(asked: Asked) -> tuple[RolloutRecord, ...]:
    return await asked.service.in_thread(_of(asked).rollouts)


async def _statistics(asked: Asked) -> DeploymentStatistics:
    return _of(asked).statistics()


async def _usage(asked: Asked) -> Usage:
    return await asked.service.in_thread(_of(asked).usage)


async def _logs(asked: Asked) -> tuple[LogLine, ...]:
    level_of(asked)
    named = cast("LogLevel", asked.text("level", "trace"))
    return _of(asked).logs(level=named, since=asked.number("since", 0.0) or 0.0)


async def _upload(asked: Asked) -> UploadResult:
    digest, size = await asked.service.uploads.receive(
        asked.stream(), asked.length, asked.header("content-digest")
    )
    return UploadResult(digest=digest, size=size)


async def _uploaded(asked: Asked) -> UploadResult:
    digest = asked.text("digest")
    found = await asked.service.component(digest)
    size = len(found) if isinstance(found, bytes) else found.stat().st_size
    return UploadResult(digest=digest, size=size)


async def _review(asked: Asked) -> Review:
    what = await asked.json(ReviewRequest)
    source = await asked.service.component(what.component)
    settings = effective(what.settings)
    core = asked.service.core
    return await asked.while_wanted(
        asked.service.in_thread(
            core.intake.review,
            source,
            name=asked.name,
            settings=settings,
            allow_downgrade=what.allow_downgrade,
            inherited=what.inherited,
        )
    )


async def _deploy(asked: Asked) -> DeploymentState:
    what = await asked.json(DeployRequest)
    service = asked.service
    if what.grant == "requested" or what.approved is not None:
        service.check_role(asked.principal, "approve", "deploy", asked.name)
    source = await service.component(what.component)
    deployment = await asked.while_wanted(
        service.host.deploy_as(
            source,
            asked.name,
            effective(what.settings),
            who=asked.who(what.who),
            why=what.why,
            allow_downgrade=what.allow_downgrade,
            grant=what.grant,
            approved=what.approved,
            inherited=what.inherited,
            strategy=None if what.strategy is None else strategy_from(what.strategy),
        )
    )
    service.uploads.drop(what.component)
    asked.detail = f"revision {deployment.revision.number} {what.component}"
    return state_of(deployment)


async def _rollback(asked: Asked) -> DeploymentState:
    what = await asked.json(RollbackRequest)
    deployment = _of(asked)
    revision = await deployment.rollback(what.to, who=asked.who(what.who), why=what.why)
    asked.detail = f"revision {revision.number}"
    return state_of(deployment)


async def _remove(asked: Asked) -> None:
    who = asked.who(asked.text("who") or None)
    await _of(asked).remove(who=who, why=asked.text("why"))


async def _call(asked: Asked) -> Response | CallResult:
    deployment = _of(asked)
    if asked.media == values.MEDIA_TYPE:
        return await _call_packed(asked, deployment)
    what = await asked.json(CallRequest)
    component = deployment.component
    try:
        path, arguments = component.parse_call(what.call)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    try:
        call = _awaited(deployment, path, arguments, {}, what.key)
        value, failed = await asked.while_wanted(call), False
    except GuestError as error:
        value, failed = error.value, True
    wave = component.print_result(path, value, error=failed)
    shown = plain(value)
    if failed:
        return CallResult(path=path, wave=wave, error=shown, failed=True)
    return CallResult(path=path, wave=wave, value=shown)


async def _call_packed(asked: Asked, deployment: Deployment) -> Response:
    body = await asked.body()
    if len(body) > _LARGE:
        given = await asyncio.to_thread(values.unpack, body)
    else:
        given = values.unpack(body)
    match given:
        case [str(function), list(arguments), dict(named)]:
            key = None
        case [str(function), list(arguments), dict(named), bytes(key)]:
            pass
        case _:
            raise InvalidRequest(
                "a call is packed as [function, arguments, named arguments], and the bytes of a key"
                " where it is on somebody's behalf"
            )
    call = _awaited(deployment, function, arguments, named, key)
    try:
        result: object = Ok(await asked.while_wanted(call))
    except GuestError as error:
        result = Err(error.value)
    return packed(result)


async def _awaited(
    deployment: Deployment,
    function: str,
    arguments: Any,
    named: dict[str, Any],
    key: str | bytes | None,
) -> Any:
    try:
        if key is None:
            return await deployment.call(function, *arguments, **named)
        return await deployment.call_for(key, function, *arguments, **named)
    except AirsSysError:
        raise
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise ToldError(error) from None  # of the arguments


def _of(asked: Asked) -> Deployment:
    return asked.service.host.deployment(asked.name)


def effective(given: Settings) -> Settings:
    """Return settings that came from elsewhere, each checked as if given here."""
    try:
        limits = Limits(**given.limits)  # type: ignore[arg-type]  # checked there
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"limits: {error}") from None
    mounts = {
        guest: Directory(mount.path, write=mount.write) for guest, mount in given.mounts.items()
    }
    actor = given.actor or (ActorSettings() if given.lifetime == "actor" else None)
    return dataclasses.replace(
        given,
        limits=settings_from(limits=limits).limits,
        mounts=mounts_from(mounts),
        actor=actor,
    )


_NAME = "/v1/deployments/{name}"
_WHO = {"who": "For whom it is done, beside who asks.", "why": "The reason, for the history."}

OPERATIONS = (
    Operation(
        "GET",
        "/v1/deployments",
        "read",
        "List the deployments, by name.",
        _list,
        gives=list[DeploymentState],
    ),
    Operation(
        "GET",
        "/v1/records",
        "read",
        "List what is on record of the deployments, by name.",
        _records,
        gives=list[ListedDeployment],
    ),
    Operation("GET", _NAME, "read", "Show a deployment.", _show, gives=DeploymentState),
    Operation(
        "PUT",
        _NAME,
        "deploy",
        "Make an uploaded component the live revision; a new name becomes a deployment.",
        _deploy,
        takes=DeployRequest,
        gives=DeploymentState,
        records="deploy",
    ),
    Operation(
        "DELETE",
        _NAME,
        "deploy",
        "End a deployment, once its calls have ended; its history is kept.",
        _remove,
        query=_WHO,
        records="remove",
    ),
    Operation(
        "POST",
        "/v1/components",
        "deploy",
        "Upload a component; it waits ten minutes to be deployed.",
        _upload,
        takes=bytes,
        gives=UploadResult,
        media="application/wasm",
        status=201,
    ),
    Operation(
        "GET",
        "/v1/components",
        "deploy",
        "Say whether a component is there: uploaded lately, or of a revision.",
        _uploaded,
        gives=UploadResult,
        query={"digest": "Of the component."},
    ),
    Operation(
        "POST",
        _NAME + ":review",
        "read",
        "Show what an uploaded component would ask for; nothing changes.",
        _review,
        takes=ReviewRequest,
        gives=Review,
    ),
    Operation(
        "POST",
        _NAME + ":rollback",
        "deploy",
        "Make an earlier revision live again.",
        _rollback,
        takes=RollbackRequest,
        gives=DeploymentState,
        records="rollback",
    ),
    Operation(
        "POST",
        _NAME + ":call",
        "call",
        "Call a function, in WAVE; or, packed, without any loss.",
        _call,
        takes=CallRequest,
        gives=CallResult,
    ),
    Operation(
        "POST",
        _NAME + ":implements",
        "read",
        "Compare the live revision with a contract; nothing is answered where it implements it.",
        _implements,
        takes=Required,
    ),
    Operation(
        "GET",
        _NAME + ":history",
        "read",
        "List every revision, the first one first.",
        _history,
        gives=list[Revision],
    ),
    Operation(
        "GET",
        _NAME + ":rollouts",
        "read",
        "List every movement between revisions: who, when and why.",
        _rollouts,
        gives=list[RolloutRecord],
    ),
    Operation(
        "GET",
        _NAME + ":statistics",
        "read",
        "Show what the calls came to, by revision.",
        _statistics,
        gives=DeploymentStatistics,
    ),
    Operation(
        "GET", _NAME + ":usage", "read", "Show what the deployment used.", _usage, gives=Usage
    ),
    Operation(
        "GET",
        _NAME + ":logs",
        "read",
        "List what the guests logged last, the oldest line first.",
        _logs,
        gives=list[LogLine],
        query={"level": "The least level.", "since": "The earliest moment, seconds since 1970."},
    ),
)
