"""Where messages end that nobody handled."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from airssys.rt.errors import RuntimeFailure
from airssys.rt.messages import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.rt.events import EventStream
    from airssys.rt.messages import DeadReason
    from airssys.rt.ref import Ref

__all__ = ["DeadLetters"]

logger = logging.getLogger("airssys.rt.dead_letters")

#: A flood is logged this many times in full, then a line per `SUMMARY` seconds with a count.
FLOOD = 10
SUMMARY = 60.0


class DeadLetters:
    """Counts, keeps the last of, and hands out dead letters.

    Attributes:
        by_reason: How many there were, by reason.
        kept: The last ones, as many as `keep`.
        lost: Dead letters that a subscribed actor had no room for.
    """

    def __init__(
        self, events: EventStream, clock: Callable[[], float], *, keep: int = 1000
    ) -> None:
        self.by_reason: dict[DeadReason, int] = {}
        self.kept: deque[DeadLetter] = deque(maxlen=keep)
        self.lost = 0
        self._events = events
        self._clock = clock
        self._actors: list[Ref[Any]] = []
        self._window = 0.0
        self._in_window = 0
        self._next_summary = 0.0

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.by_reason.values())

    def reasons(self) -> list[DeadReason]:
        """The reasons of those that are kept, oldest first."""
        return [letter.reason for letter in self.kept]

    def subscribe(self, ref: Ref[Any]) -> None:
        """Send every dead letter to an actor; one that finds no room is counted, not kept."""
        self._actors.append(ref)

    def unsubscribe(self, ref: Ref[Any]) -> None:
        """Stop sending dead letters to an actor."""
        self._actors = [one for one in self._actors if one != ref]

    def record(
        self,
        message: object,
        target: Ref[Any] | str,
        sender: Ref[Any] | None,
        reason: DeadReason,
        error: BaseException | None = None,
    ) -> None:
        """Note the end of a message; a dead letter itself is never noted again."""
        if isinstance(message, DeadLetter):
            self.lost += 1
            return
        self.by_reason[reason] = self.by_reason.get(reason, 0) + 1
        letter = DeadLetter(message, target, sender, reason, error)
        self.kept.append(letter)
        self._log(letter)
        if self._events.active:
            self._events.publish(letter)
        for ref in tuple(self._actors):
            try:
                ref.tell(letter)
            except RuntimeFailure:
                self.lost += 1

    def _log(self, letter: DeadLetter) -> None:
        now = self._clock()
        if now >= self._window:
            if self._in_window > FLOOD:
                logger.warning("%d more dead letters", self._in_window - FLOOD)
            self._window = now + SUMMARY
            self._in_window = 0
        self._in_window += 1
        if self._in_window <= FLOOD:
            logger.warning(
                "dead letter (%s) for %s: %r%s",
                letter.reason,
                letter.target,
                letter.message,
                "" if letter.error is None else f": {letter.error!r}",
            )
