"""What a deployment is and was: the records of the registry."""

from __future__ import annotations

import dataclasses
import datetime as dt  # noqa: TC003 - read when decoding
from typing import Any, Literal

from airssys.wasm.actors.settings import ActorSettings  # noqa: TC001 - read when decoding
from airssys.wasm.contracts.required import Required  # noqa: TC001 - as above
from airssys.wasm.delivery.replay import Replay  # noqa: TC001 - read when decoding
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.manifest.component_manifest import Capabilities  # noqa: TC001 - as above
from airssys.wasm.quotas.ceilings import Ceilings
from airssys.wasm.security.mounts import Mount  # noqa: TC001 - as above

__all__ = [
    "About",
    "DeploymentRecord",
    "Enforcement",
    "Lifetime",
    "Locked",
    "NewRevision",
    "Revision",
    "RolloutRecord",
    "Settings",
]

Lifetime = Literal["call", "pooled", "actor"]
Enforcement = Literal["enforce", "observe", "learn"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a revision's component is run: the effective values, as they were when it was deployed.

    Attributes:
        lifetime: `call`, a fresh instance for every call, or `pooled`, instances that are reused
            for one call at a time, or `actor`, one instance per key that takes messages.
        limits: The limits that were set, by name, in bytes and seconds; every other limit has its
            default.
        instances: The most instances that a pooled revision has at once.
        drain: Seconds that calls in flight may go on after another revision has taken over.
        keep: How many earlier revisions stay warm, so that a rollback to one of them compiles
            nothing.
        actor: How the actors of lifetime `actor` are run; None for the other lifetimes.
        ceilings: What all its instances may use together.
        capabilities: What the component asks for; None for nothing. What it gets is decided by its
            grants and the policy of the host, as they are now.
        mounts: Directories of the host by their path in the component.
        environment: Environment variables that the component may be granted to read.
        config: Values of the component's configuration.
        enforcement: `enforce`; `observe`, which lets pass what is merely not granted; or `learn`,
            the same on a development host, remembered for a suggestion.
        observe_until: When observing ends, in seconds since 1970.
        replay: Which calls are kept and made again on each new revision; None for none.
        implements: What the component has to export; it takes every later revision too, until
            another contract is given.
        said: What of this the operator said where it was deployed, as `drain` or `limits.memory`;
            another revision takes the rest from its own manifest and the host's file. None in
            records that do not tell.

    Raises:
        InvalidSetting: A value is out of range.
    """

    lifetime: Lifetime = "call"
    limits: dict[str, bool | int | float] = dataclasses.field(default_factory=dict)
    instances: int = 8
    drain: float = 30.0
    keep: int = 5
    actor: ActorSettings | None = None
    ceilings: Ceilings = dataclasses.field(default_factory=Ceilings)
    capabilities: Capabilities | None = None
    mounts: dict[str, Mount] = dataclasses.field(default_factory=dict)
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    enforcement: Enforcement = "enforce"
    observe_until: float | None = None
    replay: Replay | None = None
    implements: Required | None = None
    said: tuple[str, ...] | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.enforcement not in ("enforce", "observe", "learn"):
            raise InvalidSetting(
                f"enforcement {self.enforcement!r} is not known",
                hint="it is 'enforce', 'observe' or 'learn'",
            )
        if (self.observe_until is not None) is not (self.enforcement == "observe"):
            raise InvalidSetting(
                f"observe_until does not go with enforcement {self.enforcement!r}"
                if self.observe_until is not None
                else "enforcement 'observe' needs observe_until, the moment at which it ends"
            )
        if self.lifetime not in ("call", "pooled", "actor"):
            raise InvalidSetting(
                f"lifetime {self.lifetime!r} is not known", hint="it is 'call', 'pooled' or 'actor'"
            )
        if (self.actor is not None) is not (self.lifetime == "actor"):
            raise InvalidSetting(
                f"actor settings do not go with lifetime {self.lifetime!r}",
                hint="they say how deployments of lifetime 'actor' are run",
            )
        if self.replay is not None and self.lifetime == "actor":
            raise InvalidSetting(
                "replay does not go with lifetime 'actor': what actors answer depends on the state"
                " of each"
            )
        if not isinstance(self.instances, int) or not 1 <= self.instances <= 100_000:
            raise InvalidSetting(f"instances must be 1 to 100000, got {self.instances!r}")
        if not isinstance(self.drain, (int, float)) or not 0 <= self.drain <= 86_400:
            raise InvalidSetting(f"drain must be 0 to 86400 seconds, got {self.drain!r}")
        if not isinstance(self.keep, int) or not 0 <= self.keep <= 1_000:
            raise InvalidSetting(f"keep must be 0 to 1000 revisions, got {self.keep!r}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the manifest in a component says of it.

    Attributes:
        version: The version that its author gives it; empty where it carries no manifest.
        description: In a sentence.
        keywords: Words to find it by.
        authors: Who wrote it.
        license: Under which it is published.
        repository: Where its source is.
    """

    version: str = ""
    description: str = ""
    keywords: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    license: str = ""
    repository: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """What a range of versions was resolved to when a revision was deployed.

    Attributes:
        range: The versions that are good enough, as the manifest says: `^1.0`.
        version: The one that was live.
        revision: The revision that had it.
        digest: Its component.
    """

    range: str
    version: str
    revision: int
    digest: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewRevision:
    """What is to be recorded as the next revision of a deployment; fields as in `Revision`."""

    digest: str
    size: int
    settings: Settings
    who: str
    why: str
    version: str | None = None
    signer: str | None = None
    about: About = About()
    dependencies: dict[str, Locked] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """An immutable, numbered record of what a deployment is.

    Attributes:
        number: 1 for the first revision of its deployment.
        digest: The component, as `sha256:` and 64 hexadecimal digits.
        size: Bytes of the component.
        settings: How the component is run.
        replaced: The revision that was live before this one was first deployed, or None.
        who: Who deployed it.
        at: When, in UTC.
        why: The reason given, or an empty string.
        version: The version that a trusted signature gave it, or None.
        signer: The id of the key of that signature, or None.
        about: What its manifest says of it.
        dependencies: What its dependencies were resolved to, by deployment.
        collected: Whether its component was deleted since, so that nothing can go back to it.
    """

    number: int
    digest: str
    size: int
    settings: Settings
    replaced: int | None
    who: str
    at: dt.datetime
    why: str
    version: str | None = None
    signer: str | None = None
    about: About = About()
    dependencies: dict[str, Locked] = dataclasses.field(default_factory=dict)
    collected: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRecord:
    """The movement of a deployment from one revision to another.

    Attributes:
        id: A number that is never reused.
        kind: `deploy` to a new revision, or `rollback` to an earlier one.
        from_revision: The revision that was live before, or None for the first.
        to_revision: The revision that took over.
        who: Who asked for it.
        at: When, in UTC.
        why: The reason given, or an empty string.
        strategy: `canary`, `rolling` or `shadow` where it went step by step; None where it went at
            once.
        state: `running`, `paused` or `held` until it ends; then `promoted`, or `taken-back`, where
            the revision that was live before stayed so.
        ended: When, in UTC; None where it went at once, or has not ended.
    """

    id: int
    kind: Literal["deploy", "rollback"]
    from_revision: int | None
    to_revision: int
    who: str
    at: dt.datetime
    why: str
    strategy: str | None = None
    state: str = "promoted"
    ended: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRecord:
    """A deployment as the registry knows it.

    Attributes:
        id: A number that is never reused, not even by a later deployment of the same name.
        name: The name by which it is called.
        live: The number of the revision that takes its calls.
        at: When it was first deployed, in UTC.
    """

    id: int
    name: str
    live: int
    at: dt.datetime
