"""The requests that a client makes, one function for each operation of the API."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from airssys.wasm.accounting import DeploymentStatistics
from airssys.wasm.actors.log_line import LogLine
from airssys.wasm.delivery.records import RolloutStatus
from airssys.wasm.quotas.usage import Usage
from airssys.wasm.remote import values
from airssys.wasm.remote.request import Request, path_of
from airssys.wasm.remote.wire import (
    ActorState,
    BatchResult,
    BlockResult,
    CallRequest,
    CallResult,
    CollectResult,
    DeploymentState,
    EntryPage,
    Explanation,
    HostState,
    HttpState,
    KeptActors,
    ListedDeployment,
    RolloutView,
    TrustState,
    UploadResult,
)
from airssys.wasm.revision import Revision, RolloutRecord
from airssys.wasm.security.grant import Grant, RequestState
from airssys.wasm.storage_records import StorageEntry, StorageUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airssys.osl.operation import Permission
    from airssys.wasm.contracts.required import Required
    from airssys.wasm.remote.wire import (
        Answer,
        BatchRequest,
        ChangeRequest,
        CollectRequest,
        DeployRequest,
        GrantRequest,
        PlanRequest,
        Record,
        ReviewRequest,
        RevokeRequest,
        RollbackRequest,
        RolloutRequest,
        StopRequest,
    )
    from airssys.wasm.revision_search import RevisionQuery

_DEPLOYMENTS = "deployments"


def host() -> Request:
    """Ask for what the server says of itself."""
    return Request(method="GET", path=path_of("host"), gives=HostState)


def http() -> Request:
    """Ask for where requests from outside come in."""
    return Request(method="GET", path=path_of("http"), gives=tuple[HttpState, ...])


def usage(namespace: str | None = None, name: str | None = None) -> Request:
    """Ask for what was used: by all, a namespace or a deployment."""
    if name is not None:
        return _look(name, "usage", Usage)
    return Request(method="GET", path=path_of("usage", namespace=namespace), gives=Usage)


def events(*, follow: bool, after: int | None) -> Request:
    """Ask for events, without end where they are followed."""
    path = path_of("events", follow=str(follow).lower(), after=after)
    return Request(method="GET", path=path, headers={"accept": "text/event-stream"})


def locks() -> Request:
    """Ask for the locks there are."""
    from airssys.wasm.delivery.locks import Lock  # noqa: PLC0415 - few need it

    return Request(method="GET", path=path_of("locks"), gives=tuple[Lock, ...])


def switch(verb: str, what: ChangeRequest, name: str | None = None) -> Request:
    """Ask to switch something, of the host or of one deployment."""
    path = path_of("host", verb=verb) if name is None else path_of(_DEPLOYMENTS, name, verb=verb)
    return Request(method="POST", path=path, body=msgspec.json.encode(what))


def collect(what: CollectRequest) -> Request:
    """Ask to delete the components of old revisions."""
    path = path_of("host", verb="collect")
    return Request(method="POST", path=path, gives=CollectResult, body=msgspec.json.encode(what))


def find_revisions(query: RevisionQuery) -> Request:
    """Ask for revisions by what is known of them."""
    given = {field.name: getattr(query, field.name) or None for field in dataclasses.fields(query)}
    given["live"] = "true" if query.live else None
    path = path_of("revisions", verb="", **given)
    from airssys.wasm.revision_search import FoundRevision  # noqa: PLC0415 - few need it

    return Request(method="GET", path=path, gives=tuple[FoundRevision, ...])


def storage() -> Request:
    """Ask for how much is stored, by deployment."""
    return Request(method="GET", path=path_of("storage"), gives=dict[str, StorageUsage])


def entries(name: str, prefix: str, after: str | None, limit: int) -> Request:
    """Ask for some of what a deployment stores."""
    return _look(name, "entries", EntryPage, prefix=prefix, after=after, limit=limit)


def entry(name: str, key: str) -> Request:
    """Ask for one key."""
    return _look(name, "entry", StorageEntry | None, key=key)


def store(name: str, what: BatchRequest) -> Request:
    """Ask to change what a deployment stores."""
    return _do(name, "store", what, BatchResult)


def stored(name: str) -> Request:
    """Ask for how much a deployment stores."""
    return _look(name, "stored", StorageUsage)


def backup() -> Request:
    """Ask for a backup of the state directory."""
    return Request(method="POST", path=path_of("host", verb="backup"))


def deployments() -> Request:
    """Ask for all deployments."""
    path = path_of(_DEPLOYMENTS)
    return Request(method="GET", path=path, gives=tuple[DeploymentState, ...])


def records() -> Request:
    """Ask for what is on record of all deployments."""
    return Request(method="GET", path=path_of("records"), gives=tuple[ListedDeployment, ...])


def deployment(name: str) -> Request:
    """Ask for one deployment."""
    return Request(method="GET", path=path_of(_DEPLOYMENTS, name), gives=DeploymentState)


def upload(content: bytes | memoryview) -> Request:
    """Ask to take a component in."""
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    return Request(
        method="POST",
        path=path_of("components"),
        gives=UploadResult,
        body=content,
        media="application/wasm",
        headers={"content-digest": f"sha-256=:{digest}:"},
    )


def uploaded(content: bytes | memoryview) -> Request:
    """Ask whether a component was taken in before."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Request(method="GET", path=path_of("components", digest=digest), gives=UploadResult)


def review(name: str, what: ReviewRequest) -> Request:
    """Ask for what a component would ask for."""
    from airssys.wasm.security.review import Review  # noqa: PLC0415 - few need it

    return _do(name, "review", what, Review)


def deploy(name: str, what: DeployRequest) -> Request:
    """Ask to deploy what was uploaded."""
    path = path_of(_DEPLOYMENTS, name)
    body = msgspec.json.encode(what)
    return Request(method="PUT", path=path, gives=DeploymentState, body=body)


def rollback(name: str, what: RollbackRequest) -> Request:
    """Ask to make an earlier revision live."""
    return _do(name, "rollback", what, DeploymentState)


def remove(name: str, *, who: str | None, why: str) -> Request:
    """Ask to end a deployment."""
    return Request(method="DELETE", path=path_of(_DEPLOYMENTS, name, who=who, why=why or None))


def history(name: str) -> Request:
    """Ask for the revisions of a deployment."""
    return _look(name, "history", tuple[Revision, ...])


def rollouts(name: str) -> Request:
    """Ask for the movements between revisions."""
    return _look(name, "rollouts", tuple[RolloutRecord, ...])


def rollout(name: str, after: int | None = None) -> Request:
    """Ask for the last rollout; after some step, when there is another."""
    return _look(name, "rollout", RolloutView, after=after)


def active_rollouts() -> Request:
    """Ask for the rollouts that are under way."""
    path = path_of("rollouts")
    return Request(method="GET", path=path, gives=tuple[RolloutStatus, ...])


def command_rollout(name: str, what: RolloutRequest) -> Request:
    """Ask to do something with a rollout."""
    return _do(name, "rollout", what, RolloutStatus)


def plan(name: str, what: PlanRequest) -> Request:
    """Ask what a deploy would change."""
    from airssys.wasm.delivery.plan import Plan  # noqa: PLC0415 - few need it

    return _do(name, "plan", what, Plan)


def difference(name: str, before: int, after: int) -> Request:
    """Ask what differs between two revisions."""
    from airssys.wasm.delivery.plan import RevisionDifference  # noqa: PLC0415 - few need it

    return _look(name, "difference", RevisionDifference, before=before, after=after)


def implements(name: str, what: Required) -> Request:
    """Ask whether the live revision implements a contract; an error where it does not."""
    return _do(name, "implements", what, None)


def statistics(name: str) -> Request:
    """Ask for what the calls came to."""
    return _look(name, "statistics", DeploymentStatistics)


def logs(name: str, *, level: str, since: float) -> Request:
    """Ask for what the guests logged last."""
    return _look(name, "logs", tuple[LogLine, ...], level=level, since=since)


def log(name: str, *, follow: bool, level: str, since: float) -> Request:
    """Ask for the lines of a log that is kept, and for those that come where it is followed."""
    query: dict[str, Any] = {"follow": str(follow).lower(), "level": level, "since": since}
    return Request(method="GET", path=path_of(_DEPLOYMENTS, name, verb="log", **query))


def grants(name: str) -> Request:
    """Ask for what is granted."""
    return _look(name, "grants", tuple[Grant, ...])


def requests(name: str) -> Request:
    """Ask for what the live revision asks for."""
    return _look(name, "requests", tuple[RequestState, ...])


def suggestion(name: str) -> Request:
    """Ask for the least request that covers what was used."""
    return _look(name, "suggestion", str)


def grant(name: str, what: GrantRequest) -> Request:
    """Ask to grant capabilities."""
    return _do(name, "grant", what, tuple[Grant, ...])


def revoke(name: str, what: RevokeRequest) -> Request:
    """Ask to take grants back."""
    return _do(name, "revoke", what, tuple[Grant, ...])


def call(
    name: str,
    function: str,
    arguments: tuple[Any, ...],
    named: Mapping[str, Any],
    key: str | bytes | None = None,
) -> Request:
    """Ask to call a function; on behalf of whom `key` names, where there is one."""
    whom = [] if key is None else [key.encode() if isinstance(key, str) else key]
    return Request(
        method="POST",
        path=path_of(_DEPLOYMENTS, name, verb="call"),
        gives=bytes,
        body=values.pack([function, list(arguments), dict(named), *whom]),
        media=values.MEDIA_TYPE,
    )


def call_text(name: str, text: str, key: str | None = None) -> Request:
    """Ask to call a function in WAVE; on behalf of whom `key` names, where there is one."""
    return _do(name, "call", CallRequest(call=text, key=key), CallResult)


def actor(name: str, key: str) -> Request:
    """Ask to start an actor where it is not there."""
    return _act(name, "start", key, gives=ActorState)


def actors(name: str) -> Request:
    """Ask for the actors as they run."""
    from airssys.wasm.actors.live import LiveActor  # noqa: PLC0415 - few need it

    return _look(name, "actors", tuple[LiveActor, ...])


def kept_actors() -> Request:
    """Ask for what is kept of the actors of all deployments."""
    return Request(method="GET", path=path_of("actors"), gives=tuple[KeptActors, ...])


def tell(name: str, key: str, payload: bytes, *, priority: int, ttl: float | None) -> Request:
    """Ask to queue a message."""
    return _act(name, "tell", key, payload, priority=priority, ttl=ttl)


def ask(name: str, key: str, payload: bytes, *, timeout: float, priority: int) -> Request:
    """Ask to ask an actor."""
    return _act(name, "ask", key, payload, gives=bytes, timeout=timeout, priority=priority)


def explain(name: str, wanted: Permission, address: str | None) -> Request:
    """Ask how an access would be decided."""
    given = {"kind": wanted.kind, "access": wanted.access, "target": wanted.target}
    return _look(name, "explain", Explanation, **given, address=address)


def approvals() -> Request:
    """Ask for the accesses that wait for a person."""
    from airssys.wasm.security.approval_records import PendingApproval  # noqa: PLC0415 - few need it

    return Request(method="GET", path=path_of("approvals"), gives=tuple[PendingApproval, ...])


def answer(number: int, verb: str, what: Answer) -> Request:
    """Ask to allow or refuse an access that waits."""
    from airssys.wasm.security.approval_records import PendingApproval  # noqa: PLC0415 - few need it

    path = path_of("approvals", str(number), verb=verb)
    body = msgspec.json.encode(what)
    return Request(method="POST", path=path, gives=PendingApproval, body=body)


def trust() -> Request:
    """Ask for whose signatures count, and what is blocked."""
    return Request(method="GET", path=path_of("trust"), gives=TrustState)


def change_trust(verb: str, what: Record) -> Request:
    """Ask to change whose signatures count."""
    return Request(method="POST", path=path_of("trust", verb=verb), body=msgspec.json.encode(what))


def block(component: bytes, why: str) -> Request:
    """Ask to let a component not run."""
    path = path_of("trust", verb="block", why=why)
    media = "application/wasm"
    return Request(method="POST", path=path, gives=BlockResult, body=component, media=media)


def audit(*, follow: bool, **wanted: object) -> Request:
    """Ask for records of the audit log, and for those that come where it is followed."""
    query: dict[str, Any] = {**wanted, "follow": str(follow).lower()}
    return Request(method="GET", path=path_of("audit", **query))


def verify_audit() -> Request:
    """Ask to verify the audit log."""
    return Request(method="GET", path=path_of("audit", verb="verify"), gives=dict[str, Any])


def stop(name: str, key: str, what: StopRequest) -> Request:
    """Ask to stop an actor, or kill it."""
    path = path_of(_DEPLOYMENTS, name, verb="stop", key=key)
    return Request(method="POST", path=path, gives=str, body=msgspec.json.encode(what))


def _look(name: str, what: str, gives: Any, **query: object) -> Request:
    path = path_of(_DEPLOYMENTS, name, verb=what, **query)
    return Request(method="GET", path=path, gives=gives)


def _do(name: str, verb: str, what: Record | Required, gives: Any) -> Request:
    path = path_of(_DEPLOYMENTS, name, verb=verb)
    return Request(method="POST", path=path, gives=gives, body=msgspec.json.encode(what))


def _act(
    name: str, verb: str, key: str, payload: bytes = b"", gives: Any = None, **query: object
) -> Request:
    return Request(
        method="POST",
        path=path_of(_DEPLOYMENTS, name, verb=verb, key=key, **query),
        gives=gives,
        body=payload,
        media="application/octet-stream",
    )
