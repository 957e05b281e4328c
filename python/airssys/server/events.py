"""Live events by server-sent events: bounded for each client, and honest about gaps."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import StreamingResponse

from airssys.server.operation import Asked, Operation
from airssys.wasm.host_events import HostEvent
from airssys.wasm.remote.errors import ServerBusy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airssys.wasm.host_events import HostEvents

__all__ = ["OPERATIONS", "Subscription"]

#: Events that wait for one client.
MOST_WAITING: Final = 256
#: Clients that listen at once.
MOST_CLIENTS: Final = 64
#: Seconds without an event after which a line says that the server is there.
HEARTBEAT: Final = 15.0


class Subscription:
    """What waits for one client. What it is too slow for is counted and told as a gap.

    Args:
        events: Of the host.
        after: Begin with what is kept of the events after this one.
    """

    def __init__(self, events: HostEvents, after: int | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[HostEvent] = deque(maxlen=MOST_WAITING)
        self._told = asyncio.Event()
        self._next: int | None = None if after is None else after + 1
        kept, self._end = events.listen(self._tell, after)
        self._kept = list(kept)

    def _tell(self, event: HostEvent) -> None:
        # On whatever thread it happened; the deque drops the oldest by itself.
        self._waiting.append(event)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._told.set)

    def take(self) -> list[HostEvent | int]:
        """Return the events that wait; a number is how many are missing before the next."""
        self._told.clear()
        taken: list[HostEvent | int] = []
        while self._kept or self._waiting:
            event = self._kept.pop(0) if self._kept else self._waiting.popleft()
            if self._next is not None and event.sequence > self._next:
                taken.append(event.sequence - self._next)
            self._next = event.sequence + 1
            taken.append(event)
        return taken

    async def wait(self, seconds: float) -> bool:
        """Wait until an event waits; False when none came in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Listen no longer."""
        self._end()


def encode(event: HostEvent | int) -> bytes:
    """Return an event, or a gap of so many, as it is sent."""
    if isinstance(event, int):
        return b'event: gap\ndata: {"lost":%d}\n\n' % event
    kind = event.kind.encode()
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.sequence, kind, msgspec.json.encode(event))


_clients: set[Subscription] = set()


async def _events(asked: Asked) -> StreamingResponse:
    if len(_clients) >= MOST_CLIENTS:
        raise ServerBusy(f"{MOST_CLIENTS} clients listen already", hint="try again later")
    follow = asked.text("follow", "true") != "false"
    given = asked.header("last-event-id") or asked.text("after", "" if follow else "0")
    after = int(given) if given.isdigit() else None
    subscription = Subscription(asked.service.core.events, after)
    _clients.add(subscription)
    return StreamingResponse(
        _stream(subscription, asked.service.ending, follow=follow),
        media_type="text/event-stream",
        headers={"cache-control": "no-store"},
    )


async def _stream(
    subscription: Subscription, ending: asyncio.Event, *, follow: bool
) -> AsyncIterator[bytes]:
    last = asyncio.ensure_future(ending.wait())
    try:
        yield b": airssys events\n\n"
        for event in subscription.take():
            yield encode(event)
        while follow and not ending.is_set():
            waiting = asyncio.ensure_future(subscription.wait(HEARTBEAT))
            await asyncio.wait({waiting, last}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
            elif not waiting.result():
                yield b": \n\n"
            for event in subscription.take():
                yield encode(event)
        yield b"event: end\ndata: {}\n\n"
    finally:
        last.cancel()
        subscription.close()
        _clients.discard(subscription)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/events",
        "read",
        "Follow what happens, as server-sent events; `last-event-id` is the same as `after`.",
        _events,
        gives=HostEvent,
        query={
            "follow": "`false` ends with the last event that has happened.",
            "after": "Begin with what is kept of the events after this one.",
        },
    ),
)
