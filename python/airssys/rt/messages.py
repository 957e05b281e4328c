"""The base classes of messages, and the messages that the runtime itself sends."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from airssys.rt.ref import Ref

__all__ = [
    "Ask",
    "DeadLetter",
    "DeadReason",
    "Down",
    "Exit",
    "Message",
    "Priority",
    "Reason",
    "ReasonKind",
    "Restarted",
    "Tell",
]

TargetT_contra = TypeVar("TargetT_contra", contravariant=True)
ReplyT_co = TypeVar("ReplyT_co", covariant=True)


class Priority(enum.IntEnum):
    """The four user lanes of a mailbox."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3


class Message(Generic[TargetT_contra]):
    """Anything that an actor of type `TargetT_contra` takes; subclass `Tell` or `Ask`."""

    __slots__ = ()


class Tell(Message[TargetT_contra]):
    """A message without a reply: `class Deposit(Tell["Account"])`."""

    __slots__ = ()


class Ask(Message[TargetT_contra], Generic[TargetT_contra, ReplyT_co]):
    """A request and the type of its reply: `class Balance(Ask["Account", int])`."""

    __slots__ = ()


ReasonKind: TypeAlias = Literal[
    "normal", "shutdown", "killed", "failed", "no_actor", "no_connection"
]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an actor, or one incarnation of it, ended.

    Attributes:
        kind: `normal`, `shutdown` (ordered from outside), `killed`, `failed`, `no_actor` (it was
            not there) or `no_connection`.
        error: What was raised, when `kind` is `failed`.
    """

    NORMAL: ClassVar[Reason]
    SHUTDOWN: ClassVar[Reason]
    KILLED: ClassVar[Reason]
    NO_ACTOR: ClassVar[Reason]
    NO_CONNECTION: ClassVar[Reason]

    kind: ReasonKind
    error: BaseException | None = None

    @classmethod
    def failed(cls, error: BaseException) -> Reason:
        """The reason of an end by an exception."""
        return cls("failed", error)

    @property
    def abnormal(self) -> bool:
        """Whether links fire and transient actors are restarted."""
        return self.kind not in {"normal", "shutdown"}

    def __str__(self) -> str:
        return self.kind if self.error is None else f"{self.kind}({self.error!r})"


Reason.NORMAL = Reason("normal")
Reason.SHUTDOWN = Reason("shutdown")
Reason.KILLED = Reason("killed")
Reason.NO_ACTOR = Reason("no_actor")
Reason.NO_CONNECTION = Reason("no_connection")


@dataclass(frozen=True, slots=True)
class Down(Tell[Any]):
    """A monitored actor has ended; the last thing a monitor says."""

    ref: Ref[Any]
    reason: Reason


@dataclass(frozen=True, slots=True)
class Restarted(Tell[Any]):
    """A monitored actor has a new incarnation; sent when the monitor asked for it."""

    ref: Ref[Any]
    reason: Reason


@dataclass(frozen=True, slots=True)
class Exit(Tell[Any]):
    """A linked actor ended abnormally; sent to actors that trap exits."""

    ref: Ref[Any]
    reason: Reason


DeadReason: TypeAlias = Literal[
    "no_actor",
    "stopped",
    "overflow",
    "expired",
    "rejected",
    "killed",
    "undecodable",
    "unhandled",
    "failed",
    "cancelled",
    "stale",
]


@dataclass(frozen=True, slots=True)
class DeadLetter(Tell[Any]):
    """A message that nobody handled to the end, and why.

    Attributes:
        message: The message itself.
        target: The actor it was for; a path where no actor ever was.
        sender: The actor that sent it; None for plain callers.
        reason: Why it died.
        error: What the handler raised, when `reason` is `failed`.
    """

    message: object
    target: Ref[Any] | str
    sender: Ref[Any] | None
    reason: DeadReason
    error: BaseException | None = None
