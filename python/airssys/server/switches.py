"""Operations that switch something for the whole host, keep it, or look through all of it."""

from __future__ import annotations

import asyncio
import tempfile
from typing import IO, TYPE_CHECKING, Final

from starlette.responses import StreamingResponse

from airssys.server.operation import Asked, Operation
from airssys.wasm.delivery.locks import Lock
from airssys.wasm.remote.errors import ServerBusy
from airssys.wasm.remote.wire import ChangeRequest, CollectRequest, CollectResult
from airssys.wasm.revision_search import FoundRevision, RevisionQuery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from airssys.server.principals import Role

__all__ = ["OPERATIONS"]

_CHUNK: Final = 1 << 18


async def _locks(asked: Asked) -> tuple[Lock, ...]:
    return await asked.service.in_thread(asked.service.core.switches.locks.all)


def _switch(what: str) -> Callable[[Asked], Awaitable[None]]:
    async def run(asked: Asked) -> None:
        given = await asked.json(ChangeRequest)
        switch = getattr(asked.service.core.switches, what)
        await asked.service.in_thread(switch, who=asked.who(given.who), why=given.why)

    return run


def _switch_one(what: str) -> Callable[[Asked], Awaitable[None]]:
    async def run(asked: Asked) -> None:
        given = await asked.json(ChangeRequest)
        switch = getattr(asked.service.core.switches, what)
        await asked.service.in_thread(switch, asked.name, who=asked.who(given.who), why=given.why)

    return run


async def _collect(asked: Asked) -> CollectResult:
    what = await asked.json(CollectRequest)
    freed = await asked.service.in_thread(
        asked.service.core.switches.collect,
        keep=what.keep,
        keep_for=what.keep_for,
        who=asked.who(what.who),
    )
    asked.detail = f"{freed} bytes"
    return CollectResult(freed=freed)


async def _find(asked: Asked) -> tuple[FoundRevision, ...]:
    query = RevisionQuery(
        text=asked.text("text"),
        name=asked.text("name"),
        digest=asked.text("digest"),
        version=asked.text("version"),
        signer=asked.text("signer"),
        who=asked.text("who"),
        live=asked.text("live") == "true",
    )
    return await asked.service.in_thread(asked.service.core.find_revisions, query)


_one_backup: Final = asyncio.Lock()


async def _backup(asked: Asked) -> StreamingResponse:
    if _one_backup.locked():
        raise ServerBusy("a backup is being made already", hint="wait for it")
    service = asked.service
    async with _one_backup:
        # Whole before the first byte is sent: what fails is told as such.
        file = tempfile.TemporaryFile(dir=service.host.directory)  # noqa: SIM115 - read below
        try:
            info = await service.in_thread(service.core.backups.to_stream, file)
            size = file.tell()
            file.seek(0)
        except BaseException:
            file.close()
            raise
    asked.detail = f"{len(info.members)} files, {info.size} bytes"
    return StreamingResponse(
        _chunks(file),
        media_type="application/x-tar",
        headers={"content-length": str(size), "cache-control": "no-store"},
    )


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk


_NAME: Final = "/v1/deployments/{name}"


def _of_host(
    verb: str, role: Role, summary: str, run: Callable[[Asked], Awaitable[None]]
) -> Operation:
    return Operation(
        "POST",
        f"/v1/host:{verb}",
        role,
        summary,
        run,
        takes=ChangeRequest,
        records=verb,
    )


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/locks",
        "read",
        "List the locks there are: who set them, when and why.",
        _locks,
        gives=list[Lock],
    ),
    _of_host(
        "freeze",
        "deploy",
        "Refuse every deploy, rollback and removal; calls go on.",
        _switch("freeze"),
    ),
    _of_host("thaw", "deploy", "Take deploys, rollbacks and removals again.", _switch("thaw")),
    _of_host(
        "kill-all",
        "approve",
        "Stop every guest now, and run none until they are revived.",
        _switch("kill_all"),
    ),
    _of_host("revive", "approve", "Run the guests again that were stopped.", _switch("revive")),
    Operation(
        "POST",
        _NAME + ":lock",
        "deploy",
        "Refuse to deploy, roll back or remove a deployment.",
        _switch_one("lock"),
        takes=ChangeRequest,
        records="lock",
    ),
    Operation(
        "POST",
        _NAME + ":unlock",
        "deploy",
        "Take changes of a deployment again.",
        _switch_one("unlock"),
        takes=ChangeRequest,
        records="unlock",
    ),
    Operation(
        "POST",
        "/v1/host:collect",
        "deploy",
        "Delete the components of old revisions; their history is kept.",
        _collect,
        takes=CollectRequest,
        gives=CollectResult,
        records="collect",
    ),
    Operation(
        "GET",
        "/v1/revisions",
        "read",
        "Find revisions by what is known of them.",
        _find,
        gives=list[FoundRevision],
        query={
            "text": "Words that all occur in what is known of one.",
            "name": "The deployment, or a pattern as image/*.",
            "digest": "The beginning of the component's digest.",
            "version": "A range that the version is in.",
            "signer": "The beginning of the key that signed it.",
            "who": "Who deployed it.",
            "live": "`true` for what is live alone.",
        },
    ),
    Operation(
        "POST",
        "/v1/host:backup",
        "approve",
        "Send everything that the state directory holds, keys and trust included.",
        _backup,
        gives=bytes,
        records="backup",
    ),
)
