"""Operations on rollouts: where one is, what it did, what is to be done with it; and plans."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from airssys.server.deployments import effective
from airssys.server.operation import Operation
from airssys.wasm.delivery.plan import (
    Plan,
    RevisionDifference,
    plan_of,
    revision_difference,
)
from airssys.wasm.delivery.records import RolloutChanged, RolloutStatus
from airssys.wasm.delivery.strategies import strategy_from
from airssys.wasm.host_errors import UnknownDeployment
from airssys.wasm.remote.errors import InvalidRequest
from airssys.wasm.remote.wire import PlanRequest, RolloutRequest, RolloutView

if TYPE_CHECKING:
    from airssys.server.operation import Asked

__all__ = ["OPERATIONS"]

_NAME: Final = "/v1/deployments/{name}"
#: Seconds for which a request may wait for a rollout to do something.
_PATIENCE: Final = 20.0


async def _show(asked: Asked) -> RolloutView:
    deployment = asked.service.host.deployment(asked.name)
    rollout = await asked.service.in_thread(deployment.rollout)
    after = int(asked.number("after", -1.0) or 0)
    core = asked.service.core
    changed = asyncio.Event()

    def noticed(event: RolloutChanged) -> None:
        if event.status.rollout == rollout.id:
            changed.set()

    subscription = core.actors.system.events.subscribe(noticed, RolloutChanged)
    try:
        # In this order: what ends it is written down before its status says that it is over.
        status = await rollout.status()
        steps = await asked.service.in_thread(core.delivery.steps, rollout.id)
        if after >= 0 and not status.over and not any(each.sequence > after for each in steps):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _PATIENCE)
            status = await rollout.status()
            steps = await asked.service.in_thread(core.delivery.steps, rollout.id)
    finally:
        subscription.cancel()
    return RolloutView(status=status, steps=tuple(each for each in steps if each.sequence > after))


async def _all(asked: Asked) -> list[RolloutStatus]:
    service, found = asked.service, []
    for name in service.core.delivery.names():
        with contextlib.suppress(UnknownDeployment):  # removed meanwhile
            rollout = await service.in_thread(service.host.deployment(name).rollout)
            found.append(await rollout.status())
    return [each for each in found if not each.over]


async def _command(asked: Asked) -> RolloutStatus:
    what = await asked.json(RolloutRequest)
    deployment = asked.service.host.deployment(asked.name)
    rollout = await asked.service.in_thread(deployment.rollout)
    who, why = asked.who(what.who), what.why
    if what.what == "weight":
        status = await rollout.set_weight(what.percent, why=why, who=who)
    else:
        status = await getattr(rollout, what.what)(why=why, who=who)
    asked.detail = f"{what.what} rollout {rollout.id} to revision {rollout.revision}"
    return status


async def _plan(asked: Asked) -> Plan:
    what = await asked.json(PlanRequest)
    strategy = None if what.strategy is None else strategy_from(what.strategy)
    return await asked.service.in_thread(
        plan_of,
        asked.service.core,
        await asked.service.component(what.component),
        name=asked.name,
        settings=effective(what.settings),
        strategy=strategy,
        allow_downgrade=what.allow_downgrade,
        inherited=what.inherited,
    )


async def _difference(asked: Asked) -> RevisionDifference:
    before, after = asked.number("before"), asked.number("after")
    if before is None or after is None:
        raise InvalidRequest("a difference is between two revisions", hint="?before=1&after=2")
    return await asked.service.in_thread(
        revision_difference, asked.service.core, asked.name, int(before), int(after)
    )


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/rollouts",
        "read",
        "List the rollouts that are under way, by deployment.",
        _all,
        gives=list[RolloutStatus],
    ),
    Operation(
        "GET",
        _NAME + ":rollout",
        "read",
        "Show where the last movement to another revision is, and what it did.",
        _show,
        gives=RolloutView,
        query={"after": "Wait some seconds for a step with a higher number than this."},
    ),
    Operation(
        "POST",
        _NAME + ":rollout",
        "deploy",
        "Pause, resume, promote or abort a rollout, or set its weight.",
        _command,
        takes=RolloutRequest,
        gives=RolloutStatus,
        records="rollout",
    ),
    Operation(
        "POST",
        _NAME + ":plan",
        "read",
        "Say what deploying a component would change; nothing is.",
        _plan,
        takes=PlanRequest,
        gives=Plan,
    ),
    Operation(
        "GET",
        _NAME + ":difference",
        "read",
        "Say what differs between two revisions.",
        _difference,
        gives=RevisionDifference,
        query={"before": "The one revision.", "after": "The other."},
    ),
)
