"""`airssys.toml`: how components are run here, by the operator."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - read at run time
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, field

from airssys.wasm.manifest.component_manifest import Record
from airssys.wasm.manifest.quantities import Size, Span, Text  # noqa: TC001 - likewise

__all__ = [
    "Analysis",
    "Backoff",
    "Bounds",
    "Ceilings",
    "DeploymentEntry",
    "Health",
    "HostEntry",
    "HostManifest",
    "Maxima",
    "MountEntry",
    "NamespaceEntry",
    "Supervision",
]

Count: TypeAlias = Annotated[int, Meta(ge=1)]


class Maxima(Record, kw_only=True, frozen=True):
    """The most that any deployment gets.

    Attributes:
        memory: Linear memory of an instance.
        call_timeout: Time of one call, waiting included.
        cpu_per_call: Processor time of one call.
    """

    memory: Size = "256MiB"
    call_timeout: Span = "30s"
    cpu_per_call: Span = "10s"


class HostEntry(Record, kw_only=True, frozen=True):
    """The host.

    Attributes:
        state: State directory, relative to this file.
        admission: Lets `any` component in, which is the default, or `trusted` ones only.
        policy: Policy files, relative to this file: what may be granted at most, what is denied,
            and what is left to a person.
        memory: Guests, mailboxes, bodies and buffers together; by default half of the machine's.
        maxima: The most that any deployment gets; where it is left out, the defaults of its keys.
    """

    state: Text | None = None
    admission: Literal["any", "trusted"] | None = None
    policy: Text | tuple[Text, ...] | None = None
    memory: Size | None = None
    maxima: Maxima | None = None


class NamespaceEntry(Record, kw_only=True, frozen=True):
    """A tenant: ceilings for all deployments whose names begin with it.

    Attributes:
        memory: Of all of them together; by default the host's.
        calls_per_second: Of all of them together; by default unbounded.
    """

    memory: Size | None = None
    calls_per_second: Count | None = None


class Ceilings(Record, kw_only=True, frozen=True):
    """Bounds of one deployment.

    Attributes:
        memory, call_timeout, cpu_per_call: As in `maxima`, and never above; by default what the
            component says it needs, or what any deployment has by default.
        mailbox: Messages that wait.
        mailbox_bytes: Bytes of them.
        message_size: Bytes of one.
        messages_per_second: Messages sent.
        storage: Bytes kept.
        open_handles: Files, sockets, streams and resources of an instance.
        instances: Instances at a time; by default 8 of lifetime `pooled`, and any number of the
            others.
    """

    memory: Size | None = None
    call_timeout: Span | None = None
    cpu_per_call: Span | None = None
    mailbox: Count = 1000
    mailbox_bytes: Size = "4MiB"
    message_size: Size = "1MiB"
    messages_per_second: Count | None = None
    storage: Size = "50MiB"
    open_handles: Count = 256
    instances: Count | None = None


class Backoff(Record, kw_only=True, frozen=True):
    """How long a restart waits; doubled each time.

    Attributes:
        min: At first.
        max: At most.
    """

    min: Span = "100ms"
    max: Span = "30s"


class Supervision(Record, kw_only=True, frozen=True):
    """When an actor that ended is started again.

    Attributes:
        restart: `permanent` always, `transient` after a failure, `temporary` never.
        burst: Restarts within `period` that are tolerated.
        period: The time that `burst` is counted in.
        backoff: The pause before each.
    """

    restart: Literal["permanent", "transient", "temporary"] = "permanent"
    burst: Annotated[int, Meta(ge=0)] = 3
    period: Span = "5s"
    backoff: Backoff = field(default_factory=Backoff)


class Health(Record, kw_only=True, frozen=True):
    """Checks of a deployment that is up.

    Attributes:
        interval: Between two checks.
        timeout: Of one.
        failures: In a row, after which it counts as down.
    """

    interval: Span = "5s"
    timeout: Span = "1s"
    failures: Count = 3


class Analysis(Record, kw_only=True, frozen=True):
    """By what a new revision is judged.

    Attributes:
        alpha: The probability with which a revision that is no worse is taken back all the same.
        tolerated: The odds ratio of bad calls that is not worth a rollback.
        acceptable: The rate of calls without an answer that is good enough by itself.
        confidence: Of the evidence for promotion.
        min_calls: Calls that the new revision must have taken before it is promoted.
        max_wait: Time after which a step that found no evidence is given to a person.
        insufficient: What then happens: `hold` goes on by itself when there is evidence, `ask` when
            somebody says so.
        slow: Quantiles of the live revision's time before; a call above one is slow.
        slower_by: Time above such a quantile that does not matter yet.
        warm_up: Calls of the new revision at the beginning that are not judged by their time.
        baseline: Calls of the live revision before without which time is not judged.
    """

    alpha: float = 0.001
    tolerated: float = 2.0
    acceptable: float = 0.01
    confidence: float = 0.95
    min_calls: Annotated[int, Meta(ge=0)] = 500
    max_wait: Span = "1h"
    insufficient: Literal["hold", "ask"] = "hold"
    slow: tuple[float, ...] = (0.9, 0.99)
    slower_by: Span = "1ms"
    warm_up: Annotated[int, Meta(ge=0)] = 100
    baseline: Annotated[int, Meta(ge=0)] = 1000


class Bounds(Record, kw_only=True, frozen=True):
    """Hard bounds, beside what `analysis` compares.

    Attributes:
        p99: Time that 99 of 100 calls of the new revision may take; by default any.
        error_rate: Share of its calls that may fail; by default any.
        traps: Traps of the new revision where the live one has had none.
        past: How many times more often than before both revisions together may fail.
    """

    p99: Span | None = None
    error_rate: float | None = None
    traps: Annotated[int, Meta(ge=0)] | Literal["any"] = 0
    past: float | Literal["any"] = 5.0


class MountEntry(Record, kw_only=True, frozen=True):
    """A directory of this machine, as a component sees it.

    Attributes:
        path: The directory, relative to this file.
        write: Whether what is in it may be changed at all.
    """

    path: Text
    write: bool = False


class DeploymentEntry(Record, kw_only=True, frozen=True):
    """One deployment.

    Attributes:
        source: The component: a file, relative to this one, or `sha256:` and its digest.
        enforcement: `observe` lets pass, and records, what is merely not granted.
        observe_until: The moment when `observe` ends; it needs one.
        limits: Its bounds.
        supervision: When an actor that ended is started again.
        health: How it is checked; by default not at all.
        strategy: How a new revision takes over, where a deploy does not say it.
        steps: Of a canary: shares of the calls in percent, each more than the one before; by
            default `[1, 5, 25, 50]`.
        step_duration: The least time of a step; by default a minute, and 5 s of a rolling one.
        shares: Of `rolling`: in how many equal shares; by default 4.
        share: Of a shadow: percent of the calls that are copied; by default 10.
        then: Of a shadow: `promote` after a good verdict, which is the default, or `hold`.
        wait: Of `recreate`: time for which calls wait for the new revision; by default 30 s.
        analysis: By what a canary or a shadow is judged.
        bounds: Hard bounds of a canary or of `rolling`.
        drain: Time that calls under way get.
        keep: Revisions kept for rollback.
        on_overflow: What becomes of a message to a full mailbox.
        config: Values for the component's `[config]`.
        mounts: Directories by their absolute path in the component.
        environment: Variables that it may be granted to read.
        grants: What it is granted of its requests: `requested` for all, or their places, as
            `filesystem[0]`. Beside what was granted to the deployment otherwise.
    """

    source: Text
    enforcement: Literal["enforce", "observe"] = "enforce"
    observe_until: dt.datetime | None = None
    limits: Ceilings = field(default_factory=Ceilings)
    supervision: Supervision = field(default_factory=Supervision)
    health: Health | None = None
    strategy: Literal["blue-green", "canary", "rolling", "recreate", "shadow"] = "blue-green"
    steps: tuple[float, ...] | None = None
    step_duration: Span | None = None
    shares: int | None = None
    share: float | None = None
    then: Literal["promote", "hold"] | None = None
    wait: Span | None = None
    analysis: Analysis | None = None
    bounds: Bounds | None = None
    drain: Span = "30s"
    keep: Count = 5
    on_overflow: Literal["wait", "fail", "drop-oldest", "drop-newest"] = "fail"
    config: dict[str, str | int | float | bool | tuple[str, ...]] = field(default_factory=dict)
    mounts: dict[str, MountEntry] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    grants: Literal["requested"] | tuple[Text, ...] = ()


class HostManifest(Record, kw_only=True, frozen=True):
    """The whole file.

    Attributes:
        schema: Of this file; 1.
        host: The host itself.
        namespaces: By first segment of names.
        deployments: By name.
    """

    schema: Literal[1]
    host: HostEntry = field(default_factory=HostEntry)
    namespaces: dict[str, NamespaceEntry] = field(default_factory=dict)
    deployments: dict[str, DeploymentEntry] = field(default_factory=dict)
