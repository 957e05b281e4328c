"""Messages to other actors, and topics."""

from __future__ import annotations

from typing import Any

from airssys_component.errors import Delivery
from airssys_component.messages import from_payload, to_payload
from airssys_component.world import imported

__all__ = ["ask", "publish", "subscribe", "tell", "unsubscribe"]

_NANOSECONDS = 1_000_000_000


def tell(target: str, message: object) -> None:
    """Put a message in an actor's mailbox; never waits.

    Args:
        target: Its address: `image/resizer`, or `image/resizer#42`.
        message: Anything that JSON has, dataclasses of it, or a payload.

    Raises:
        Delivery: It did not arrive.
    """
    _told(_messaging().tell, target, to_payload(message))


def ask(target: str, message: object, *, timeout: float = 5.0) -> Any:
    """Ask an actor and return its answer, or None where it has none.

    Args:
        target: Its address.
        message: As for `tell`.
        timeout: Seconds.

    Raises:
        Delivery: There is no answer; says why.
    """
    nanoseconds = round(timeout * _NANOSECONDS)
    answer = _told(_messaging().ask, target, to_payload(message), nanoseconds)
    return None if answer is None else from_payload(answer)


def publish(topic: str, message: object) -> int:
    """Put a message in the mailbox of every subscriber; return how many took it.

    Raises:
        Delivery: The component may not publish there.
    """
    reach = _told(_topics().publish, topic, to_payload(message))
    accepted: int = reach.accepted
    return accepted


def subscribe(pattern: str) -> None:
    """Receive what is published under a pattern: `*` is one word, `**` at the end any number.

    Raises:
        Delivery: The component may not subscribe to it.
    """
    _told(_topics().subscribe, pattern)


def unsubscribe(pattern: str) -> bool:
    """End a subscription; False if there was none."""
    ended: bool = _topics().unsubscribe(pattern)
    return ended


def _messaging() -> Any:
    return imported("messaging", "airssys:messaging/messaging")


def _topics() -> Any:
    return imported("topics", "airssys:messaging/topics")


def _told(function: Any, *arguments: object) -> Any:
    """Call a function of the host; its error becomes a `Delivery`."""
    from componentize_py_types import Err  # type: ignore[import-not-found]  # noqa: PLC0415 - there is one in components only

    try:
        return function(*arguments)
    except Err as error:
        value: Any = error.value
        kind = type(value).__name__.rpartition("_")[2]
        reason = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in kind)
        raise Delivery(reason.lstrip("-"), getattr(value, "value", None)) from None
