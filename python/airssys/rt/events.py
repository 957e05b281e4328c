"""The event stream: what happens to actors, for logs, metrics and consoles."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.rt.messages import DeadLetter, Priority, Reason
    from airssys.rt.ref import Ref

__all__ = [
    "ActorEnded",
    "ActorFailing",
    "ActorRestarted",
    "ActorRestarting",
    "ActorResumed",
    "ActorStarted",
    "ActorStopping",
    "ActorSuspended",
    "Backpressure",
    "Event",
    "EventStream",
    "HealthChanged",
    "HookFailed",
    "Leaked",
    "LimitExceeded",
    "MessageHandled",
    "Overdue",
    "Subscription",
]

logger = logging.getLogger("airssys.rt")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an actor."""

    level: ClassVar[int] = logging.DEBUG

    ref: Ref[Any]


@dataclass(frozen=True, slots=True)
class ActorStarted(Event):
    """The actor runs; its first incarnation has started."""


@dataclass(frozen=True, slots=True)
class ActorFailing(Event):
    """The incarnation failed with `error` on `message`."""

    level: ClassVar[int] = logging.WARNING

    error: BaseException
    message: object


@dataclass(frozen=True, slots=True)
class ActorRestarting(Event):
    """The incarnation ends and another will follow."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class ActorRestarted(Event):
    """A new incarnation runs; `count` is how many restarts that makes."""

    level: ClassVar[int] = logging.INFO

    reason: Reason
    count: int


@dataclass(frozen=True, slots=True)
class ActorStopping(Event):
    """The actor is on the way to its end."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class ActorEnded(Event):
    """The actor has ended for good; state `failed` when the reason is."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class ActorSuspended(Event):
    """The actor takes no messages until it is resumed."""


@dataclass(frozen=True, slots=True)
class ActorResumed(Event):
    """The actor takes messages again."""


@dataclass(frozen=True, slots=True)
class LimitExceeded(Event):
    """A supervisor gave up on `child` and escalates."""

    level: ClassVar[int] = logging.ERROR

    child: Ref[Any]
    error: BaseException


@dataclass(frozen=True, slots=True)
class HookFailed(Event):
    """A hook raised; the lifecycle went on."""

    level: ClassVar[int] = logging.ERROR

    hook: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class Leaked(Event):
    """A killed coroutine did not unwind and was abandoned where it stood."""

    level: ClassVar[int] = logging.ERROR

    stack: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Backpressure(Event):
    """A sender found the lane full and was turned away or has to wait."""

    priority: Priority


@dataclass(frozen=True, slots=True)
class MessageHandled(Event):
    """A handler ended; only sent while someone subscribed with `messages=True`."""

    message: object
    error: BaseException | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Overdue(Event):
    """A handler is over its time budget; `stack` is where it is."""

    level: ClassVar[int] = logging.WARNING

    seconds: float
    stack: str


@dataclass(frozen=True, slots=True)
class HealthChanged(Event):
    """A health check changed its verdict."""

    level: ClassVar[int] = logging.WARNING

    health: str
    before: str


class Subscription:
    """Ends with `cancel`."""

    __slots__ = ("_stream", "callback", "kinds", "messages")

    def __init__(
        self,
        stream: EventStream,
        callback: Callable[[Any], object],
        kinds: tuple[type, ...],
        messages: bool,
    ) -> None:
        self._stream = stream
        self.callback = callback
        self.kinds = kinds
        self.messages = messages

    def cancel(self) -> None:
        """Get no more events."""
        self._stream.unsubscribe(self)


class EventStream:
    """Calls subscribers with each event, at once and on the thread of the system.

    Attributes:
        active: Whether anyone listens; nothing is allocated otherwise.
        errors: The last hundred exceptions of subscribers.
    """

    def __init__(self, *, on_change: Callable[[], None] | None = None) -> None:
        self.active = logger.isEnabledFor(logging.DEBUG)
        self.messages = False
        self.errors: deque[Exception] = deque(maxlen=100)
        self._subscriptions: list[Subscription] = []
        self._on_change = on_change

    def subscribe(
        self, callback: Callable[[Any], object], *kinds: type, messages: bool = False
    ) -> Subscription:
        """Call `callback` with every event, or those of `kinds`.

        Args:
            callback: Must not block. What it raises is kept in `errors` and logged.
            *kinds: Event classes; `DeadLetter` counts as one.
            messages: Also send `MessageHandled`, which costs time on every message.
        """
        subscription = Subscription(self, callback, kinds, messages)
        self._subscriptions.append(subscription)
        self._changed()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Take a subscription back."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
        self._changed()

    def _changed(self) -> None:
        self.active = bool(self._subscriptions) or logger.isEnabledFor(logging.DEBUG)
        self.messages = any(one.messages for one in self._subscriptions)
        if self._on_change is not None:
            self._on_change()

    def publish(self, event: Event | DeadLetter) -> None:
        """Log an event and hand it to those who subscribed to it."""
        if isinstance(event, Event) and logger.isEnabledFor(event.level):
            logger.log(event.level, "%s", event)
        for subscription in tuple(self._subscriptions):
            if not subscription.kinds or isinstance(event, subscription.kinds):
                try:
                    subscription.callback(event)
                except Exception as error:
                    self.errors.append(error)
                    logger.exception("a subscriber of the event stream failed")
