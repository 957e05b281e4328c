"""Operations on what deployments store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airssys.server.operation import MOST_VALUES, Asked, Operation
from airssys.wasm.host_errors import UnknownDeployment
from airssys.wasm.remote.errors import InvalidRequest
from airssys.wasm.remote.wire import BatchRequest, BatchResult, EntryPage
from airssys.wasm.storage_records import Delete, StorageEntry, StorageUsage

if TYPE_CHECKING:
    from airssys.wasm.storage_blocking import BlockingNamespace
    from airssys.wasm.storage_records import BatchPart

__all__ = ["OPERATIONS"]

#: Entries and bytes of the largest page.
_MOST: Final = 500


def _namespace(asked: Asked) -> BlockingNamespace:
    return asked.service.core.storage.namespace(asked.name)


async def _entries(asked: Asked) -> EntryPage:
    limit = int(asked.number("limit", 100) or 0)
    if not 1 <= limit <= _MOST:
        raise InvalidRequest(f"limit={limit}: expected 1 to {_MOST}")

    def look() -> EntryPage:
        requests = _namespace(asked).requests()
        entries, after = requests.page(asked.text("prefix"), asked.text("after") or None).wait()
        if len(entries) > limit:
            entries, after = entries[:limit], entries[limit - 1].key
        return EntryPage(entries=tuple(entries), after=after)

    return await asked.service.in_thread(look)


async def _entry(asked: Asked) -> StorageEntry | None:
    return await asked.service.in_thread(lambda: _namespace(asked).entry(asked.text("key")))


async def _stored(asked: Asked) -> StorageUsage:
    return await asked.service.in_thread(lambda: _namespace(asked).usage())


async def _storage(asked: Asked) -> dict[str, StorageUsage]:
    def look() -> dict[str, StorageUsage]:
        storage, found = asked.service.core.storage, {}
        for name in storage.namespaces():
            try:
                found[name] = storage.namespace(name).usage()
            except UnknownDeployment:
                continue  # removed since
        return found

    return await asked.service.in_thread(look)


async def _store(asked: Asked) -> BatchResult:
    what = await asked.json(BatchRequest, MOST_VALUES)
    parts: list[BatchPart] = [*what.check, *what.put, *map(Delete, what.delete)]
    if not parts:
        raise InvalidRequest("a batch has a part", hint="put, delete or check a key")
    version = await asked.service.in_thread(lambda: _namespace(asked).batch(parts))
    asked.detail = f"{len(what.put)} set, {len(what.delete)} deleted"
    return BatchResult(version=version)


_NAME: Final = "/v1/deployments/{name}"

OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/storage",
        "read",
        "Show how much is stored, by deployment.",
        _storage,
        gives=dict[str, StorageUsage],
    ),
    Operation(
        "GET",
        _NAME + ":stored",
        "read",
        "Show how much a deployment stores, and may store.",
        _stored,
        gives=StorageUsage,
    ),
    Operation(
        "GET",
        _NAME + ":entries",
        "read",
        "List what a deployment stores, by key.",
        _entries,
        gives=EntryPage,
        query={
            "prefix": "Only keys that begin so.",
            "after": "Begin behind this key.",
            "limit": "At most so many entries.",
        },
    ),
    Operation(
        "GET",
        _NAME + ":entry",
        "read",
        "Show one entry; null where there is none.",
        _entry,
        gives=StorageEntry | None,
        query={"key": "The key."},
    ),
    Operation(
        "POST",
        _NAME + ":store",
        "deploy",
        "Set and delete keys, all or none.",
        _store,
        takes=BatchRequest,
        gives=BatchResult,
        records="store",
    ),
)
