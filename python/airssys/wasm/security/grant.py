"""What was granted to a deployment, by whom and until when."""

from __future__ import annotations

import dataclasses
import datetime as dt  # noqa: TC003 - read when decoding
from collections.abc import Mapping  # noqa: TC003 - likewise
from typing import Any, Literal

__all__ = ["Grant", "RequestState"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A capability given to a deployment.

    It is worth something only together with a request of the component and, where the host has a
    policy, with a rule of it.

    Attributes:
        id: A number that is never reused; records name the grant as `grant-<id>`.
        deployment: The name of the deployment.
        deployment_id: The deployment itself: a later one of the same name is not granted anything.
        kind: Kind of the capability.
        access: What may be done.
        target: Pattern of targets; of paths as the component sees them.
        more: What else narrows it: `addresses`, `transport`, `arguments`.
        who: Who granted it.
        at: When, in UTC.
        why: The reason given, or an empty string.
        until: When it ends, in UTC; None for never.
        place: The request that it answers, as `capabilities.http[0]`; empty where it answers none.
        act_as: `self` where callers of the component need not hold the right too.
        caller: The one caller for whom it counts; None for every caller.
    """

    id: int
    deployment: str
    deployment_id: int
    kind: str
    access: tuple[str, ...]
    target: str
    more: Mapping[str, Any]
    who: str
    at: dt.datetime
    why: str
    until: dt.datetime | None = None
    place: str = ""
    act_as: Literal["self"] | None = None
    caller: str | None = None

    @property
    def name(self) -> str:
        """What records and explanations call it."""
        return f"grant-{self.id}"

    def __str__(self) -> str:
        return f"{self.kind} {','.join(self.access)} {self.target}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestState:
    """One request of a live revision, and what is granted of it.

    Attributes:
        place: Where the manifest has it, as `capabilities.http[0]`.
        kind: Kind of the capability.
        access: What is asked for.
        target: Pattern of targets; of paths as the component sees them.
        more: What else narrows it: `addresses`, `transport`, `arguments`.
        reason: Why the author says that it is needed.
        state: `granted`, `partly` or `not`.
        grants: The grants that concern it, oldest first.
    """

    place: str
    kind: str
    access: tuple[str, ...]
    target: str
    more: Mapping[str, Any]
    reason: str
    state: Literal["granted", "partly", "not"]
    grants: tuple[Grant, ...]
