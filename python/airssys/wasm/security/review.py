"""What somebody who lets a component in should know about what it asks for."""

# pyright: reportPrivateUsage=false
# The table stands in the registry's database.

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from airssys.wasm.security.grant import RequestState  # noqa: TC001 - read when decoding
from airssys.wasm.security.rules import requests_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from airssys.wasm.registry import Registry
    from airssys.wasm.revision import Settings
    from airssys.wasm.security.grant import Grant

__all__ = ["Approval", "ApprovalsOfRequests", "Review", "Reviewed", "dangers_of", "review_of"]

_EVERYWHERE = re.compile(r"(^|://)\*{1,2}(:|/|$)")
_EGRESS = ("http", "network", "messaging")


class Reviewed(NamedTuple):
    """What an approval is about; it counts for nothing else.

    Attributes:
        component: Digest of the component without its signatures.
        manifest: Digest of the manifest in it, or an empty string.
        policy: Digest of the rules of the host's policy.
    """

    component: str
    manifest: str
    policy: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What a person approved last for a deployment.

    Attributes:
        asked: The requests, in words.
        about: What they were approved for.
        who: Who did.
        at: When, in UTC.
    """

    asked: tuple[str, ...]
    about: Reviewed
    who: str
    at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a component asks for, beside what was approved and granted.

    Attributes:
        deployment: The name that it is to have.
        about: What an approval of this is about.
        level: `trusted` where a key that counts for the name signed it.
        requests: All that it asks for, each with what is granted of it.
        added: What it asks for and the last approved component did not, in words.
        removed: The other way round.
        dangers: Combinations that deserve a second look, in words.
        approved: What a person approved last; None for nothing yet.
        at_once: It needs nobody: trusted, and the policy of the host bounds what it gets.
        filed: The places of the requests that the operator's file grants.
    """

    deployment: str
    about: Reviewed
    level: Literal["trusted", "unknown"]
    requests: tuple[RequestState, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    dangers: tuple[str, ...]
    approved: Approval | None
    at_once: bool
    filed: frozenset[str] = frozenset()

    @property
    def missing(self) -> tuple[RequestState, ...]:
        """What it asks for, is not granted, and is not about to be by the operator's file."""
        return tuple(
            each
            for each in self.requests
            if each.state != "granted" and each.place not in self.filed
        )


class ApprovalsOfRequests:
    """What people approved, in the database of the state directory. Safe for several threads.

    Args:
        registry: The open registry of the state directory.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def last(self, deployment_id: int) -> Approval | None:
        """Return what was approved last for a deployment."""
        rows = self._registry._read(  # noqa: SLF001
            "SELECT asked, component, manifest, policy, who, at FROM reviews"
            " WHERE deployment = ? ORDER BY id DESC LIMIT 1",
            deployment_id,
        )
        if not rows:
            return None
        asked, component, manifest, policy, who, at = rows[0]
        return Approval(
            asked=tuple(msgspec.json.decode(asked)),
            about=Reviewed(component, manifest, policy),
            who=who,
            at=dt.datetime.fromtimestamp(at, dt.UTC),
        )

    def add(
        self, deployment_id: int, about: Reviewed, settings: Settings, *, who: str, why: str
    ) -> None:
        """Record that somebody approved what a component asks for.

        Raises:
            StateWriteFailed: It could not be recorded.
        """
        with self._registry._writing("record the approval") as connection:  # noqa: SLF001
            connection.execute(
                "INSERT INTO reviews (deployment, asked, component, manifest, policy, who, why, at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    deployment_id,
                    msgspec.json.encode(_words(settings)).decode(),
                    *about,
                    who,
                    why,
                    dt.datetime.now(dt.UTC).timestamp(),
                ),
            )


def review_of(
    deployment: str,
    settings: Settings,
    about: Reviewed,
    *,
    grants: Sequence[Grant],
    approved: Approval | None,
    trusted: bool,
    ceiling: bool,
    filed: Collection[str] = (),
) -> Review:
    """Return the review of a component that is to be deployed.

    Args:
        deployment: Under which name.
        settings: As which it would be deployed, with what it asks for.
        about: What an approval is about.
        grants: What the deployment was granted.
        approved: What was approved for it last.
        trusted: Whether a key that counts for the name signed the component.
        ceiling: Whether the host has a policy.
        filed: The places of the requests that the operator's file grants.
    """
    words = _words(settings)
    before = () if approved is None else approved.asked
    # A client of a server reads reviews, and makes none.
    from airssys.wasm.security.asking import request_states  # noqa: PLC0415

    requests = request_states(settings, grants)
    return Review(
        deployment=deployment,
        about=about,
        level="trusted" if trusted else "unknown",
        requests=requests,
        added=tuple(each for each in words if each not in before),
        removed=tuple(each for each in before if each not in words),
        dangers=tuple(dangers_of(requests, words, before)),
        approved=approved,
        at_once=trusted and ceiling,
        filed=frozenset(filed),
    )


def dangers_of(
    requests: Sequence[RequestState], words: Sequence[str], before: Sequence[str]
) -> Iterable[str]:
    """Yield what is more dangerous together than each by itself, in words.

    Args:
        requests: All that is asked for.
        words: The same in words.
        before: What was approved last, in words.
    """
    new = {word for word in words if word not in before}
    egress = [each for each in requests if each.kind in _EGRESS and _leaves(each)]
    fresh = [each for each in egress if _word(each) in new]
    if fresh and any(each.kind == "secret" for each in requests):
        yield f"it uses a secret, and may newly send to {_targets(fresh)}"
    reads = [each for each in requests if each.kind == "filesystem" and "read" in _all(each)]
    if fresh and reads:
        yield f"it reads {_targets(reads)}, and may newly send to {_targets(fresh)}"
    writes = {
        each.target
        for each in requests
        if each.kind == "filesystem" and {"write", "create"} & set(_all(each))
    }
    if writes and any(each.kind == "process" for each in requests):
        yield f"it writes {', '.join(sorted(writes))}, and starts programs"
    for each in requests:
        if each.kind == "filesystem" and each.target.strip("/") in {"**", "*"}:
            yield f"it asks for every file that it sees: {each.target}"
        if each.kind in {"http", "network"} and _EVERYWHERE.search(each.target):
            yield f"it may reach every host: {each.target}"


def _leaves(request: RequestState) -> bool:
    return not set(request.access) <= {"listen", "resolve", "subscribe"}


def _all(request: RequestState) -> tuple[str, ...]:
    return ("read", "write", "create") if "*" in request.access else request.access


def _targets(requests: Iterable[RequestState]) -> str:
    return ", ".join(dict.fromkeys(each.target for each in requests))


def _word(request: RequestState) -> str:
    return f"{request.kind} {','.join(request.access)} {request.target}"


def _words(settings: Settings) -> list[str]:
    """Return what is asked for, one line each, without what does not matter for approving it."""
    return [f"{each.kind} {','.join(each.access)} {each.target}" for each in requests_of(settings)]
