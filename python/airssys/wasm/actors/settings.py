"""How the actors of a deployment are run."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import msgspec

from airssys.rt import Backoff, Bounded, Options, Restart
from airssys.wasm.actors.hand_over import HandOver, Rollback, StateRules
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.limits import parse_bytes

__all__ = ["ActorSettings", "OnOverflow", "RestartType"]

OnOverflow = Literal["fail", "wait", "drop-oldest", "drop-newest"]
RestartType = Literal["permanent", "transient", "temporary"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ActorSettings:
    """How the actors of a deployment are run: mailbox, supervision, health, state, payloads.

    Attributes:
        mailbox: Messages that each lane of a mailbox takes.
        mailbox_bytes: Bytes that a mailbox takes, or a size as `"4MiB"`.
        message_size: Bytes of the largest message, or a size.
        on_overflow: What a full lane does: `fail`, `wait`, `drop-oldest` or `drop-newest`.
        restart: `permanent`, `transient` (after an abnormal end) or `temporary`.
        burst: Restarts within `period` that are tolerated; one more holds the deployment.
        period: Seconds.
        backoff: Least and most seconds before a restart, or None to restart at once.
        max_consecutive: Restarts without healthy uptime between them that are tolerated.
        healthy_after: Seconds of uptime that count as healthy.
        start_timeout: Seconds that instantiation, `initialize` and `restore` may take together.
        shutdown: Seconds that `shutdown` may take before the instance is dropped.
        health_interval: Seconds between two health checks; 0 makes none.
        health_timeout: Seconds that `health` may take.
        health_failures: Bad answers in a row after which the actor is restarted.
        snapshot_every: Seconds between two snapshots of an actor's state, or None for none but at
            its end. A snapshot is restored at the next start.
        codec: What Python values are encoded with: `cbor`, `json`, `messagepack`, `borsh`,
            `raw`; None takes the first of these that the actor accepts.
        accepts: The codecs that are taken, as far as the component's own metadata names them too;
            what the component names where it is empty.
        hand_over: What becomes of the state when this revision takes over: `none` begins anew,
            `snapshot` restores it as the earlier revision wrote it, `migrate` lets the component
            migrate it first where another version wrote it. None takes what the component's
            manifest declares, or `migrate` where it carries none.
        rollback: What becomes of the state that this revision writes when an earlier one takes
            over: `reverse` hands it over in the same way, `discard` goes on from what the earlier
            revision left, `refuse` refuses the rollback. None takes what the manifest declares, or
            `reverse` where the component carries none.
        message_hooks: Whether `Hooks.before_message` and `after_message` are called. Each message
            then makes two trips to the loop of the actor system, and the guest waits for both.
        config: What `initialize` gets, by name.

    Raises:
        InvalidSetting: A value is out of range.
    """

    mailbox: int = 1000
    mailbox_bytes: int | str = 4 << 20
    message_size: int | str = 1 << 20
    on_overflow: OnOverflow = "fail"
    restart: RestartType = "permanent"
    burst: int = 3
    period: float = 5.0
    backoff: tuple[float, float] | None = None
    max_consecutive: int = 10
    healthy_after: float = 5.0
    start_timeout: float = 5.0
    shutdown: float = 5.0
    health_interval: float = 0.0
    health_timeout: float = 1.0
    health_failures: int = 3
    snapshot_every: float | None = None
    codec: str | None = None
    accepts: tuple[str, ...] = ()
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    hand_over: HandOver | None = None
    rollback: Rollback | None = None
    message_hooks: bool = False
    #: What the manifest of the component declares; set by whoever deploys it.
    declared: StateRules | None = None

    def __post_init__(self) -> None:
        for name in ("mailbox_bytes", "message_size"):
            object.__setattr__(self, name, parse_bytes(getattr(self, name), name=name))
        for name, least in (
            ("mailbox", 1),
            ("mailbox_bytes", 1),
            ("message_size", 1),
            ("burst", 0),
            ("max_consecutive", 0),
            ("health_failures", 1),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InvalidSetting(f"{name} must be a number of at least {least}, got {value!r}")
        for name in (
            "period",
            "healthy_after",
            "start_timeout",
            "shutdown",
            "health_interval",
            "health_timeout",
        ):
            self._check_seconds(name, getattr(self, name))
        if self.snapshot_every is not None:
            self._check_seconds("snapshot_every", self.snapshot_every)
        self._check_choice("on_overflow", ("fail", "wait", "drop-oldest", "drop-newest"))
        self._check_choice("restart", ("permanent", "transient", "temporary"))
        self._check_choice("hand_over", (None, "none", "snapshot", "migrate"))
        self._check_choice("rollback", (None, "reverse", "discard", "refuse"))
        if self.backoff is not None and not 0 < self.backoff[0] <= self.backoff[1] <= 86_400:
            raise InvalidSetting(
                f"backoff must be the least and the most seconds, got {self.backoff!r}",
                hint="as (0.1, 30.0)",
            )
        try:
            msgspec.json.encode(self.config)
        except TypeError as error:
            raise InvalidSetting(f"config cannot be written as JSON: {error}") from error

    def _check_seconds(self, name: str, value: object) -> None:
        if not isinstance(value, (int, float)) or not 0 <= value <= 86_400:
            raise InvalidSetting(f"{name} must be 0 to 86400 seconds, got {value!r}")

    def _check_choice(self, name: str, known: tuple[str | None, ...]) -> None:
        if getattr(self, name) not in known:
            raise InvalidSetting(
                f"{name} {getattr(self, name)!r} is not known",
                hint=f"it is {', '.join(map(str, known))}",
            )

    @property
    def state_rules(self) -> StateRules:
        """What becomes of the state: what is set here, else declared by the component."""
        declared = self.declared or StateRules("migrate", "reverse")
        return StateRules(self.hand_over or declared.hand_over, self.rollback or declared.rollback)

    @property
    def options(self) -> Options:
        """The same in the words of `airssys.rt`."""
        return Options(
            mailbox=Bounded(self.mailbox, full=self.on_overflow),
            restart=Restart(self.restart),
            backoff=None if self.backoff is None else Backoff(*self.backoff),
            shutdown=self.shutdown,
            start_timeout=self.start_timeout,
            max_consecutive=self.max_consecutive,
            healthy_after=self.healthy_after,
        )
