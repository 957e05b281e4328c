"""What stands in for the rest of a system: actors that take a component's messages and topics."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any, Final

from airssys.rt import Actor, handles

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Heard", "Listener"]

#: Seconds that a message may take to arrive on a busy machine.
PATIENCE: Final = 30.0


class Heard:
    """Messages that arrived somewhere, in their order. Safe to use from any thread."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def take(self, message: Any) -> None:
        """Add a message."""
        self._messages.put(message)

    def next(self, timeout: float = PATIENCE) -> Any:
        """Wait for the next message and return it.

        Args:
            timeout: Seconds.

        Raises:
            AssertionError: None arrived in time.
        """
        try:
            return self._messages.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"nothing arrived at {self.where}") from None

    def assert_sent(self, message: Any, timeout: float = PATIENCE) -> None:
        """Fail unless the next message is this one."""
        found = self.next(timeout)
        if found != message:
            raise AssertionError(f"at {self.where} arrived {found!r}, expected {message!r}")


class Listener(Actor):
    """Keeps what it hears, and answers as it was told to.

    Args:
        heard: Where messages are kept.
        answer: What it answers: a value, or a function of the message.
    """

    def __init__(self, heard: Heard, answer: Any = None) -> None:
        self._heard = heard
        self._answer: Callable[[object], Any] = answer if callable(answer) else lambda _: answer

    @handles
    async def hear(self, message: object) -> Any:
        """Take any message."""
        self._heard.take(message)
        return self._answer(message)
