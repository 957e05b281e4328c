"""What happens to the deployments of a host, told as it happens."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HostEvent", "HostEvents"]

_log: Final = logging.getLogger("airssys.wasm")
#: Events that are kept for those who come back.
KEPT: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostEvent:
    """Something that happened.

    Attributes:
        sequence: 1 for the first since the host was opened.
        at: Seconds since 1970.
        kind: `deployed`, `replayed`, `rolled-back`, `removed`, `held`, `granted`, `revoked`; in a
            host that is served `rollout`, `limit`, `actor-failed`, `actor-restarted` and
            `actor-health` too.
        deployment: To which deployment; empty where it concerns the host.
        facts: More about it, as JSON has it.
    """

    sequence: int
    at: float
    kind: str
    deployment: str
    facts: dict[str, Any]


class HostEvents:
    """Tells listeners of events, and keeps the last ones. Safe to use from any thread."""

    def __init__(self) -> None:
        self._one_change = threading.Lock()
        self._last = 0
        self._kept: deque[HostEvent] = deque(maxlen=KEPT)
        self._listeners: tuple[Callable[[HostEvent], object], ...] = ()

    def tell(self, kind: str, deployment: str = "", **facts: Any) -> None:
        """Tell all listeners, on this thread and in the order of the sequence.

        Args:
            kind: What happened.
            deployment: To which deployment.
            facts: More about it, as JSON has it.
        """
        with self._one_change:
            self._last += 1
            event = HostEvent(
                sequence=self._last, at=time.time(), kind=kind, deployment=deployment, facts=facts
            )
            self._kept.append(event)
            for listener in self._listeners:
                try:
                    listener(event)
                except Exception:  # noqa: BLE001 - reported; the others are told all the same
                    _log.exception("a listener for events failed")

    def listen(
        self, listener: Callable[[HostEvent], object], after: int | None = None
    ) -> tuple[tuple[HostEvent, ...], Callable[[], None]]:
        """Call `listener` with each event from now on; it must return at once and tell nothing.

        Args:
            listener: What is called, on the thread where it happens.
            after: Return what is kept of the events after this one; None for none.

        Returns:
            Those events, without a gap before what the listener is told, and what ends it.
        """
        with self._one_change:
            kept = tuple(each for each in self._kept if after is not None and each.sequence > after)
            self._listeners = (*self._listeners, listener)

        def end() -> None:
            with self._one_change:
                self._listeners = tuple(each for each in self._listeners if each is not listener)

        return kept, end
