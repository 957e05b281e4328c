"""Topics that Python actors and components share."""

# pyright: reportPrivateUsage=false
# A bridge looks into both sides.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airssys.errors import AirsSysError
from airssys.rt import LocalRef, Priority
from airssys.rt._foreign import ForeignCell
from airssys.rt.groups import Published
from airssys.wasm import codecs
from airssys.wasm.actors.payloads import choose_codec
from airssys.wasm.codecs import CodecError

if TYPE_CHECKING:
    from airssys.rt import Ref
    from airssys.rt._cell import Cell
    from airssys.wasm.actors.exchange import Exchange

__all__ = ["SharedTopics"]


class SharedTopics:
    """Carries publications between the topics of an actor system and those of a message plane.

    A Python actor that subscribes does so on both sides: what Python publishes reaches it directly,
    what a component publishes through its port, and takes a slot there. What Python publishes goes
    to the components that subscribed, in a codec that each accepts. A component that Python
    subscribes is told on the plane.

    Args:
        exchange: The way between the two.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._topics = exchange.system.topics
        for pattern, ref in self._topics.subscriptions():
            self.subscribed(pattern, ref)
        self._topics.bridges.append(self)

    def subscribed(self, pattern: str, ref: Ref[Any]) -> bool:
        """Subscribe an actor on the plane too; a component is told from there alone."""
        cell = _cell_of(ref)
        if cell is None:
            return False
        if isinstance(cell, ForeignCell):
            place: Any = cell.outside
            place.native.subscribe(pattern)
            return True
        self._exchange.port_of(cell).native.subscribe(pattern)
        return False

    def unsubscribed(self, pattern: str, ref: Ref[Any]) -> bool:
        """End a subscription on the plane."""
        cell = _cell_of(ref)
        if cell is None:
            return False
        if isinstance(cell, ForeignCell):
            place: Any = cell.outside
            place.native.unsubscribe(pattern)
            return True
        port = self._exchange.known_port(cell)
        if port is not None:  # one that has ended has none any more
            port.native.unsubscribe(pattern)
        return False

    def published(self, topic: str, message: Any, priority: Priority | None) -> Published:
        """Publish to the components that subscribed; who takes none of its forms refuses it."""
        plane = self._exchange.plane
        wanted = plane.accepted_inside(topic)
        if not wanted:
            return Published(0, 0)
        sender = self._exchange.name_of(self._exchange.system._dispatcher.current)  # noqa: SLF001
        try:
            told = plane.publish_inside(
                topic,
                _forms(message, wanted),
                priority=int(Priority.NORMAL if priority is None else priority),
                sender=sender,
            )
        except AirsSysError:  # bytes that are no payload
            return Published(0, len(wanted))
        return Published(*told)

    def close(self) -> None:
        """Carry nothing any more."""
        self._topics.bridges.remove(self)


def _forms(message: Any, wanted: list[list[int]]) -> list[bytes]:
    """Return a message in every codec that is needed to reach those who want one of these."""
    if isinstance(message, bytes):
        return [message]
    forms: dict[str, bytes] = {}
    for accepts in wanted:
        try:
            codec = choose_codec(accepts)
            if codec not in forms:
                forms[codec] = codecs.encode(message, codec)
        except CodecError:  # this one refuses it
            continue
    return list(forms.values())


def _cell_of(ref: Ref[Any]) -> Cell | None:
    return ref._cell if isinstance(ref, LocalRef) else None  # noqa: SLF001 - see above
