"""The actors of a deployment, when another revision takes over."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airssys.rt import Reason
    from airssys.wasm.actors.host_actors import HostActors
    from airssys.wasm.actors.records import ActorRecords
    from airssys.wasm.host_events import HostEvents
    from airssys.wasm.serving import Prepared, Serving

__all__ = ["ActorMoves"]

_log: Final = logging.getLogger("airssys.wasm")


class ActorMoves:
    """Has the actors of deployments run what was prepared.

    Args:
        actors: Where they run.
        records: Where their keys are kept.
        events: Where it is told that a deployment is held.
        closed: Whether the host has been closed.
    """

    def __init__(
        self,
        actors: HostActors,
        records: ActorRecords,
        events: HostEvents,
        closed: Callable[[], bool],
    ) -> None:
        self._actors = actors
        self._events = events
        self._records = records
        self._closed = closed

    @contextlib.contextmanager
    def move(self, serving: Serving, prepared: Prepared) -> Iterator[threading.Event]:
        """Have the actors of a deployment run what is prepared; back again unless it is kept.

        The event says that it is kept.
        """
        kept = threading.Event()
        before, make = serving.make, prepared.make
        name = serving.name
        if make is None:
            yield kept
            return
        if before is None:
            keys = self._records.keys(name) or ("",)
            self._actors.open(name, make, keys, self._records, self._held_by(serving))
        else:
            self._actors.upgrade(name, make)
        try:
            yield kept
        finally:
            if not kept.is_set():
                if before is None:
                    self._actors.close_fleet(name)
                else:
                    self._actors.restore(name, before)

    def _held_by(self, serving: Serving) -> Callable[[Reason], None]:
        """Return what is called when a deployment's actors have been given up."""

        def hold(reason: Reason) -> None:
            if serving.revision is not None and not self._closed():
                why = str(reason.error or reason)
                serving.hold(serving.revision, why)
                self._events.tell("held", serving.name, why=why)
                _log.error("deployment '%s' is held: %s", serving.name, why)

        return hold
