"""What a server and its clients write to each other, beside the records of the host itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from airssys.osl.operation import AnyKind  # noqa: TC001 - read when decoding
from airssys.wasm.accounting import DeploymentStatistics  # noqa: TC001 - likewise
from airssys.wasm.actors.records import ActorRecord  # noqa: TC001 - likewise
from airssys.wasm.delivery.records import RolloutStatus, RolloutStep  # noqa: TC001 - likewise
from airssys.wasm.ingress_records import HttpRoute, HttpStatistics  # noqa: TC001 - likewise
from airssys.wasm.quotas.usage import Usage  # noqa: TC001 - likewise
from airssys.wasm.revision import DeploymentRecord, Revision, Settings
from airssys.wasm.security.review import Reviewed  # noqa: TC001 - likewise
from airssys.wasm.storage_records import Check, Put, StorageEntry  # noqa: TC001 - likewise

__all__ = [
    "ActorState",
    "Answer",
    "BatchRequest",
    "BatchResult",
    "BlockResult",
    "CallRequest",
    "CallResult",
    "ChangeRequest",
    "CollectRequest",
    "CollectResult",
    "DeployRequest",
    "DeploymentState",
    "EntryPage",
    "Explanation",
    "GrantRequest",
    "HostState",
    "HttpState",
    "KeptActors",
    "ListedDeployment",
    "PlanRequest",
    "ReviewRequest",
    "RevokeRequest",
    "RollbackRequest",
    "RolloutRequest",
    "RolloutView",
    "StopRequest",
    "TrustFloorRequest",
    "TrustKeyRequest",
    "TrustRevokeRequest",
    "TrustState",
    "UploadResult",
]
from airssys.wasm.trust.store import Blocked, TrustedKey  # noqa: TC001 - likewise

Reason = Annotated[str, msgspec.Meta(max_length=2000)]


class Record(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The base of what is sent to a server: a field that it does not know is refused."""


class HostState(msgspec.Struct, kw_only=True, frozen=True):
    """A host that is served.

    Attributes:
        version: Of AirsSys.
        directory: The state directory.
        process: The process that serves it.
        started: Since when, in seconds since 1970.
        status: `ready`, or `draining` while it ends.
        principal: Who asks, as the server knows it.
        roles: What whoever asks may do.
        usage: What was used since the start.
    """

    version: str
    directory: str
    process: int
    started: float
    status: Literal["ready", "draining"]
    principal: str
    roles: tuple[str, ...]
    usage: Usage


class HttpState(msgspec.Struct, kw_only=True, frozen=True):
    """Where requests from outside come in.

    Attributes:
        address: Where it listens.
        routes: Which requests go to which deployment.
        statistics: What came in since it began to listen.
        missing: Deployments to which a rule leads, and that are not there or take no requests.
    """

    address: str
    routes: tuple[HttpRoute, ...]
    statistics: HttpStatistics
    missing: tuple[str, ...] = ()


class DeploymentState(msgspec.Struct, kw_only=True, frozen=True):
    """A deployment as it is now.

    Attributes:
        name: By which it is called.
        revision: The live one.
        held: Why it takes no calls, or null.
        exports: Paths of the live revision's functions.
        statistics: What its calls came to since the start of the host.
    """

    name: str
    revision: Revision
    held: str | None
    exports: list[str]
    statistics: DeploymentStatistics


class ListedDeployment(msgspec.Struct, kw_only=True, frozen=True):
    """A deployment as it is on record.

    Attributes:
        deployment: The deployment.
        live: Its live revision.
    """

    deployment: DeploymentRecord
    live: Revision


class UploadResult(msgspec.Struct, kw_only=True, frozen=True):
    """A component that was uploaded; it is kept for some minutes.

    Attributes:
        digest: By which a deploy names it.
        size: Bytes.
    """

    digest: str
    size: int


class ReviewRequest(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What would a component ask for?

    Attributes:
        component: Digest of an uploaded component.
        settings: How it would be run.
        allow_downgrade: Let in a lower signed version.
        inherited: The capabilities in `settings` are what an earlier component asked for.
    """

    component: str
    settings: Settings = msgspec.field(default_factory=Settings)
    allow_downgrade: bool = False
    inherited: bool = False


class DeployRequest(ReviewRequest, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Make a component the live revision of a deployment.

    Attributes:
        component: Digest of an uploaded component.
        settings: How it is run; limits that are left out have their defaults.
        inherited: The capabilities in `settings` are what an earlier component asked for.
        grant: `requested` grants what it asks for; who asks needs the role `approve` then.
        approved: What a review was about; anything else is refused.
        who: For whom it is done, for the history, beside who asks.
        why: The reason, for the history.
        allow_downgrade: Let in a lower signed version.
        strategy: How it takes over, with its `kind`: `{"kind": "canary", "steps": [1, 5]}`; where
            it is null, as the file of the server says, else at once. The answer comes when the
            first step is taken.
    """

    strategy: dict[str, Any] | None = None
    grant: Literal["requested", "none"] | None = None
    approved: Reviewed | None = None
    who: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    why: Reason = ""


class PlanRequest(ReviewRequest, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Ask what deploying a component would change.

    Attributes:
        component: Digest of an uploaded component.
        settings: How it would be run.
        allow_downgrade: Let in a lower signed version.
        strategy: How it would take over; as for a deploy.
    """

    strategy: dict[str, Any] | None = None


class RolloutRequest(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Do something with the rollout of a deployment.

    Attributes:
        what: `pause`, `resume`, `promote`, `abort`, or `weight`.
        percent: The share that the new revision is to have, with `weight`.
        who: For whom it is done, beside who asks.
        why: The reason, for the record.
    """

    what: Literal["pause", "resume", "promote", "abort", "weight"]
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    who: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    why: Reason = ""


class RolloutView(msgspec.Struct, kw_only=True, frozen=True):
    """A rollout, and what it did.

    Attributes:
        status: Where it is.
        steps: What it did, the first step first.
    """

    status: RolloutStatus
    steps: tuple[RolloutStep, ...]


class RollbackRequest(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Make an earlier revision live again.

    Attributes:
        to: The revision; null for the one that the live revision replaced.
        who: For whom it is done, beside who asks.
        why: The reason, for the history.
    """

    to: int | None = None
    who: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    why: Reason = ""


class ChangeRequest(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Switch something: freeze, lock, stop.

    Attributes:
        who: For whom it is done, beside who asks.
        why: The reason, for the records.
    """

    who: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    why: Reason = ""


class CollectRequest(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Delete the components of old revisions.

    Attributes:
        keep: Of each deployment, the last revisions that are kept.
        keep_for: Seconds for which every revision is kept.
        who: For whom it is done, beside who asks.
    """

    keep: Annotated[int, msgspec.Meta(ge=0)] = 10
    keep_for: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    who: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class CollectResult(msgspec.Struct, kw_only=True, frozen=True):
    """What was deleted.

    Attributes:
        freed: Bytes.
    """

    freed: int


class GrantRequest(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Grant capabilities.

    Attributes:
        places: Places of requests (`http[0]`); null for all that is asked for and not granted.
        capabilities: Capabilities as in `[capabilities]` of a manifest, instead of `places`.
        until: When it ends, in ISO 8601 with a time zone; null for never.
        act_as: `self` where callers of the component need not hold the right themselves.
        caller: The one caller for whom it counts.
        who: For whom it is done, beside who asks.
        why: The reason, for the records.
    """

    places: list[str] | None = None
    capabilities: dict[str, Any] | None = None
    until: str | None = None
    act_as: Literal["self"] | None = None
    caller: str | None = None
    who: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    why: Reason = ""


class RevokeRequest(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Take grants back.

    Attributes:
        grants: Their ids; null for all.
        wait: Return when nothing is left that was opened with them.
        who: For whom it is done, beside who asks.
        why: The reason, for the records.
    """

    grants: list[int] | None = None
    wait: bool = False
    who: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    why: Reason = ""


class EntryPage(msgspec.Struct, kw_only=True, frozen=True):
    """Some of what a deployment stores, by key.

    Attributes:
        entries: The entries; bytes are base64.
        after: The key after which the next page begins; null where this is the last.
    """

    entries: tuple[StorageEntry, ...]
    after: str | None


class BatchRequest(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Change several keys, all or none.

    Attributes:
        put: Keys to set; bytes are base64.
        delete: Keys to delete, which need not be there.
        check: Keys that must have a version, or with null no value; else nothing is done.
    """

    put: tuple[Put, ...] = ()
    delete: tuple[str, ...] = ()
    check: tuple[Check, ...] = ()


class BatchResult(msgspec.Struct, kw_only=True, frozen=True):
    """What a batch came to.

    Attributes:
        version: That the namespace has since; null where a check failed.
    """

    version: int | None


class CallRequest(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Call a function.

    Attributes:
        call: The call in WAVE: `add(2, 3)`.
        key: On whose behalf; one key meets one revision while a rollout runs.
    """

    call: str
    key: str | None = None


class CallResult(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What a function returned.

    Attributes:
        path: Of the function.
        wave: The result in WAVE; null for none.
        value: The result in JSON: bytes are base64, a variant is `{case: payload}`.
        error: The error of a WIT `result`, instead of `value`.
        failed: Whether it is an error.
    """

    path: str
    wave: str | None
    value: Any = None
    error: Any = None
    failed: bool = False


class ActorState(msgspec.Struct, kw_only=True, frozen=True):
    """An actor that runs, or is about to.

    Attributes:
        address: Of the actor: the deployment, with `#` and the key where that is not empty.
        alive: Whether the address takes messages.
        codec: In what values are written to it.
    """

    address: str
    alive: bool
    codec: str


class StopRequest(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Stop an actor for good.

    Attributes:
        timeout: Seconds after which it becomes a kill; null for what the actor was given.
        drain: Handle what is queued first.
        kill: End the incarnation without hooks; the supervisor decides about a restart.
    """

    timeout: float | None = None
    drain: bool = False
    kill: bool = False


class Answer(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The answer of a person to an access that waits.

    Attributes:
        why: The reason, for the records.
    """

    why: Reason = ""


class KeptActors(msgspec.Struct, kw_only=True, frozen=True):
    """The actors of a deployment, as they are on record.

    Attributes:
        deployment: Its name.
        revision: The live one.
        restart: When one that ends is started again.
        actors: What is kept of each, by key.
    """

    deployment: str
    revision: int
    restart: str
    actors: tuple[ActorRecord, ...]


class Explanation(msgspec.Struct, kw_only=True, frozen=True):
    """How an access would be decided.

    Attributes:
        kind: Of the capability.
        access: What is to be done.
        target: On what, as the host sees it.
        seen: What the component calls the target; null where that is nothing else.
        effect: `allow`, `deny` or `ask`.
        rule: Which rule decides.
        reason: The same in words.
        position: Where it was written.
        considered: Rules that speak of it, as name, effect and verdict.
        needed: What would allow it; null where that is not what is missing.
    """

    kind: AnyKind
    access: str
    target: str
    seen: str | None
    effect: str
    rule: str
    reason: str
    position: str | None
    considered: tuple[tuple[str, str, str], ...]
    needed: str | None


class TrustState(msgspec.Struct, kw_only=True, frozen=True):
    """Whose signatures count, and what is blocked.

    Attributes:
        keys: The keys by their ids, revoked ones included.
        blocked: Components that must not run, by digest.
        floors: The lowest version that a name may have.
    """

    keys: dict[str, TrustedKey]
    blocked: dict[str, Blocked]
    floors: dict[str, str]


class TrustKeyRequest(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Let the signatures of a key count.

    Attributes:
        key: The public key, as a line.
        names: Patterns of names for which it counts.
        comment: Whose it is.
    """

    key: Annotated[str, msgspec.Meta(max_length=1000)]
    names: tuple[str, ...]
    comment: Annotated[str, msgspec.Meta(max_length=200)] = ""


class TrustFloorRequest(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Let a name have no version below one.

    Attributes:
        name: Of deployments.
        version: The lowest.
    """

    name: str
    version: str


class TrustRevokeRequest(Record, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Let the signatures of a key count no more.

    Attributes:
        key: Its id.
        why: The reason, for the record.
    """

    key: str
    why: Reason


class BlockResult(msgspec.Struct, kw_only=True, frozen=True):
    """A component that was blocked.

    Attributes:
        digest: Of it, without its signatures.
    """

    digest: str
