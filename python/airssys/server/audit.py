"""Operations on the audit log: read it, follow it, verify it."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import StreamingResponse

from airssys.osl.audit_log import AuditSearch, verify_log
from airssys.server.operation import Asked, Operation
from airssys.wasm.remote.errors import InvalidRequest, ServerBusy
from airssys.wasm.security.checkpoints import checkpoint_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from airssys.server.service import Service

__all__ = ["OPERATIONS"]

#: Clients that read at once: each has a file open.
MOST_CLIENTS: Final = 32
#: Records that are sent at once.
_BATCH: Final = 500
#: Seconds between two looks for new records.
_PATIENCE: Final = 0.2
#: Seconds without a record after which an empty line says that the server is there.
HEARTBEAT: Final = 15.0

_TEXTS: Final = ("principal", "operation", "target", "decision", "rule")
_NUMBERS: Final = ("since", "until")
_COUNTS: Final = ("limit", "last")

_clients: set[object] = set()


def _log(service: Service) -> Path:
    return service.core.directory / "audit"


async def _read(asked: Asked) -> StreamingResponse:
    if len(_clients) >= MOST_CLIENTS:
        raise ServerBusy(f"{MOST_CLIENTS} clients read the log already", hint="try again later")
    wanted: dict[str, Any] = {name: asked.text(name) or None for name in _TEXTS}
    wanted |= {name: asked.number(name) for name in _NUMBERS}
    for name in _COUNTS:
        number = asked.number(name)
        if number is not None and (number < 0 or number != int(number)):
            raise InvalidRequest(f"{name}={number}: expected a count")
        wanted[name] = None if number is None else int(number)
    follow = asked.text("follow") == "true"
    search = await asked.service.in_thread(AuditSearch, _log(asked.service), **wanted)
    client = object()
    _clients.add(client)

    async def lines() -> AsyncIterator[bytes]:
        try:
            there = search.there()
            while found := await asked.service.in_thread(lambda: list(islice(there, _BATCH))):
                yield b"".join(each + b"\n" for each in found)
            silent = 0.0
            while follow and not search.over and not await _ends(asked.service):
                found = await asked.service.in_thread(search.more)
                silent = 0.0 if found else silent + _PATIENCE
                if found:
                    yield b"".join(each + b"\n" for each in found)
                elif silent >= HEARTBEAT:
                    silent = 0.0
                    yield b"\n"
        finally:
            _clients.discard(client)

    return StreamingResponse(
        lines(), media_type="application/x-ndjson", headers={"cache-control": "no-store"}
    )


async def _ends(service: Service) -> bool:
    """Wait for the next look; True where the server ends instead."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(service.ending.wait(), _PATIENCE)
    return service.ending.is_set()


async def _verify(asked: Asked) -> dict[str, Any]:
    log = _log(asked.service)

    def verify() -> dict[str, Any]:
        return verify_log(log, checkpoint=checkpoint_of(log.parent))

    return await asked.service.in_thread(verify)


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/audit",
        "read",
        "Read the audit log, a JSON object on a line each, the oldest record first.",
        _read,
        gives=str,
        query={
            "principal": "Who acted.",
            "operation": "An operation, or its family: `filesystem`.",
            "target": "Part of the target.",
            "decision": "`allow`, `deny`, `ask`, `observed`, `outcome`.",
            "rule": "The rule that decided.",
            "since": "The earliest moment, seconds since 1970.",
            "until": "The moment that no record reaches.",
            "limit": "At most so many.",
            "last": "Begin this many records back.",
            "follow": "`true` goes on with what is recorded from now on.",
        },
    ),
    Operation(
        "GET",
        "/v1/audit:verify",
        "read",
        "Check the chain of hashes and the signatures of the audit log.",
        _verify,
        gives=dict[str, Any],
    ),
)
