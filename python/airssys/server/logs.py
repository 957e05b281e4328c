"""What guests log, as lines that go on: what is kept first, then each as it comes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from starlette.responses import StreamingResponse

from airssys.server.operation import Asked, Operation
from airssys.wasm.actors.log_files import PATIENCE, LogReader
from airssys.wasm.actors.log_line import LEVELS, LogLine
from airssys.wasm.remote.errors import InvalidRequest, ServerBusy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airssys.server.service import Service

__all__ = ["OPERATIONS", "level_of"]

#: Clients that read at once: each has a file open.
MOST_CLIENTS: Final = 64
#: Seconds without a line after which an empty one says that the server is there.
HEARTBEAT: Final = 15.0

_clients: set[LogReader] = set()


def level_of(asked: Asked) -> int:
    """Return the severity that lines must have, by the query.

    Raises:
        InvalidRequest: It names no level.
    """
    level = asked.text("level", "trace")
    if level not in LEVELS:
        raise InvalidRequest(f"level={level!r}: expected one of {', '.join(LEVELS)}")
    return LEVELS[level]


async def _read(asked: Asked) -> StreamingResponse:
    asked.service.host.deployment(asked.name)  # or say that there is none
    if len(_clients) >= MOST_CLIENTS:
        raise ServerBusy(f"{MOST_CLIENTS} clients read logs already", hint="try again later")
    severity, since = level_of(asked), asked.number("since", 0.0) or 0.0
    follow = asked.text("follow", "true") != "false"
    reader = LogReader(asked.service.core.directory / "logs", asked.name)
    _clients.add(reader)

    def take() -> bytes:
        wanted = (line for line in reader.take() if line.severity >= severity and line.at >= since)
        return b"".join(line.encode() for line in wanted)

    async def lines() -> AsyncIterator[bytes]:
        try:
            silent = 0.0
            while True:
                found = await asked.service.in_thread(take)
                silent = 0.0 if found else silent + PATIENCE
                if silent >= HEARTBEAT:
                    found, silent = b"\n", 0.0
                if found:
                    yield found
                if not follow or await _ends(asked.service):
                    return
        finally:
            _clients.discard(reader)
            reader.close()

    return StreamingResponse(
        lines(), media_type="application/x-ndjson", headers={"cache-control": "no-store"}
    )


async def _ends(service: Service) -> bool:
    """Wait for the next look; True where the server ends instead."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(service.ending.wait(), PATIENCE)
    return service.ending.is_set()


OPERATIONS = (
    Operation(
        "GET",
        "/v1/deployments/{name}:log",
        "read",
        "Follow what the guests log, a JSON object on a line each; what is kept comes first.",
        _read,
        gives=LogLine,
        query={
            "follow": "`false` ends with the last line that there is.",
            "level": "The least level.",
            "since": "The earliest moment, seconds since 1970.",
        },
    ),
)
