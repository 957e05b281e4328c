"""Requests and grants as rules of the one vocabulary.

A request counts for one revision; a grant for the deployment, whichever revision of it runs. Paths
become paths of the host by the mounts of the revision.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any, Final

from airssys.wasm.manifest.requests import requested_of, shown
from airssys.wasm.security.mounts import host_patterns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airssys.wasm.manifest.requests import Requested
    from airssys.wasm.revision import Settings
    from airssys.wasm.security.grant import Grant
    from airssys.wasm.security.mounts import Mount

__all__ = ["ANSWERED", "HeldGrant", "grant_rules", "request_rules", "requests_of"]

Description = dict[str, Any]

#: The place of a grant that answers a question of the component, in the place of its request.
ANSWERED: Final = "capabilities.request"


@dataclasses.dataclass(frozen=True, slots=True)
class HeldGrant:
    """A grant in a running host.

    Attributes:
        grant: What is granted.
        ends: The moment on the monotonic clock at which it ends too, so that setting the wall
            clock back does not lengthen it; None for never.
    """

    grant: Grant
    ends: float | None

    @classmethod
    def of(cls, grant: Grant) -> HeldGrant:
        """Begin to count the time of a grant."""
        if grant.until is None:
            return cls(grant, None)
        return cls(grant, time.monotonic() + grant.until.timestamp() - time.time())

    @property
    def remaining(self) -> float | None:
        """Seconds until it ends, by whichever clock is first; None for never."""
        if self.grant.until is None or self.ends is None:
            return None
        return min(self.grant.until.timestamp() - time.time(), self.ends - time.monotonic())


def requests_of(settings: Settings) -> list[Requested]:
    """Return what a revision asks for."""
    return [] if settings.capabilities is None else requested_of(settings.capabilities)


def request_rules(
    deployment: str, deployment_id: int, number: int, settings: Settings
) -> list[Description]:
    """Return the rules for what one revision asks for, and for what is its own."""
    described: list[Description] = []
    if settings.config:
        # The operator wrote it for this deployment alone: it needs neither request nor grant.
        described.append(
            {
                "effect": "allow",
                "kind": "config",
                "targets": ["**"],
                "access": ["read"],
                "id": f"config-{deployment_id}.{number}",
                "principals": [f"revision:{deployment}@{number}"],
                "position": f"{deployment}, revision {number}: its configuration",
            }
        )
    for request in requests_of(settings):
        place = shown(request.where)
        rule = _rule(request.kind, request.access, request.target, request.more, settings.mounts)
        if rule is not None:
            described.append(
                {
                    **rule,
                    "id": f"request-{deployment_id}.{number}-{place}",
                    "principals": [f"revision:{deployment}@{number}"],
                    "part": "request",
                    "position": f"{deployment}, revision {number}: {place}",
                }
            )
    return described


def grant_rules(
    deployment: str, revisions: Mapping[int, Settings], grants: Sequence[HeldGrant]
) -> list[Description]:
    """Return the rules for what is granted to a deployment, for the revisions that run."""
    views: list[tuple[dict[str, Mount], list[int]]] = []
    for number, settings in sorted(revisions.items()):
        for mounts, numbers in views:
            if mounts == settings.mounts:
                numbers.append(number)
                break
        else:
            views.append((settings.mounts, [number]))
    described = []
    for held in grants:
        remaining = held.remaining
        if remaining is not None and remaining <= 0:
            continue
        expires = {} if remaining is None else {"expires": time.time() + remaining}
        # Only paths mean something else under other mounts.
        for mounts, numbers in views if held.grant.kind == "filesystem" else views[-1:]:
            rule = _granted(held.grant, mounts)
            if rule is None:
                continue
            one = len(views) == 1 or held.grant.kind != "filesystem"
            described.append(
                {
                    **rule,
                    **expires,
                    "id": held.grant.name if one else f"{held.grant.name}@{numbers[0]}",
                    "principals": [f"name:{deployment}"]
                    if one
                    else [f"revision:{deployment}@{number}" for number in numbers],
                }
            )
    return described


def _granted(grant: Grant, mounts: Mapping[str, Mount]) -> Description | None:
    rule = _rule(grant.kind, grant.access, grant.target, grant.more, mounts)
    if rule is None:
        return None
    rule["part"] = "grant"
    rule["position"] = f"{grant.deployment}: granted by {grant.who}"
    if grant.place == ANSWERED:
        rule["approves"] = True
    if grant.act_as is not None:
        rule["act_as"] = grant.act_as
    if grant.caller is not None:
        rule["callers"] = [f"name:{grant.caller}"]
    return rule


def _rule(
    kind: str,
    access: tuple[str, ...],
    target: str,
    more: Mapping[str, Any],
    mounts: Mapping[str, Mount],
) -> Description | None:
    """Return the rule that allows this, or None where no mount shows what it speaks of."""
    targets = host_patterns(target, mounts) if kind == "filesystem" else [target]
    if not targets:
        return None
    return {"effect": "allow", "kind": kind, "targets": targets, "access": access, **more}
