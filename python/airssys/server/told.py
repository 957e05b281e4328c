"""What limits, rollouts and actors tell, among the events of the host."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from airssys.rt import ActorFailing, ActorRestarted, HealthChanged
from airssys.wasm.actors.ref import ComponentRef
from airssys.wasm.delivery.records import RolloutChanged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airssys.wasm.host import Host
    from airssys.wasm.quotas import LimitNotice

__all__ = ["telling"]


@contextlib.contextmanager
def telling(host: Host) -> Iterator[None]:
    """Pass on what they tell, inside the block."""
    events = host._core.events  # noqa: SLF001 - the server is the host's own front

    def limit(notice: LimitNotice) -> None:
        events.tell(
            "limit",
            notice.by.partition(" ")[2],
            limit=notice.limit,
            met=notice.kind,
            configured=notice.configured,
            owner=notice.owner,
            times=notice.times,
        )

    def rollout(changed: RolloutChanged) -> None:
        step, status = changed.step, changed.status
        events.tell(
            "rollout",
            status.deployment,
            rollout=status.rollout,
            revision=status.to_revision,
            did=step.kind,
            state=step.state,
            weight=step.weight,
            who=step.who,
            why=step.why,
        )

    def actor(event: ActorFailing | ActorRestarted | HealthChanged) -> None:
        if not isinstance(event.ref, ComponentRef):
            return  # an actor of the program
        deployment, key = event.ref.deployment, event.ref.key
        if isinstance(event, ActorFailing):
            events.tell("actor-failed", deployment, key=key, error=str(event.error))
        elif isinstance(event, ActorRestarted):
            events.tell("actor-restarted", deployment, key=key, count=event.count)
        else:
            events.tell("actor-health", deployment, key=key, health=event.health)

    stream = host.system.events
    subscriptions = [
        stream.subscribe(rollout, RolloutChanged),
        stream.subscribe(actor, ActorFailing, ActorRestarted, HealthChanged),
    ]
    unhear = host.on_limit(limit)
    try:
        yield
    finally:
        unhear()
        for subscription in subscriptions:
            subscription.cancel()
