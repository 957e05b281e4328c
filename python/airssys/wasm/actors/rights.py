"""Whom the actors of a deployment may send to."""

from __future__ import annotations

import dataclasses

from airssys.wasm._native import _core

__all__ = ["Rights"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Whom the actors of a deployment may send to; what is not named is denied.

    Addresses are deployments, or the names of Python actors; in patterns `*` stands for one segment
    and `**` for any number. Topics are words joined by dots.

    Attributes:
        send: Patterns of addresses that may be told.
        ask: Patterns of addresses that may be asked.
        broadcast: Patterns that may be broadcast to.
        publish: Patterns of topics that may be published under.
        subscribe: Patterns of topics that may be subscribed to.
    """

    send: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    broadcast: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()

    @property
    def native(self) -> _core.MessageRights:
        """The same as the message plane holds them."""
        return _core.MessageRights(
            send=self.send,
            ask=self.ask,
            broadcast=self.broadcast,
            publish=self.publish,
            subscribe=self.subscribe,
        )
