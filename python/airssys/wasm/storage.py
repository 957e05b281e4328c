"""Storage of components, for programs with an event loop."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

from airssys.wasm.storage_jsonl import export_jsonl, import_jsonl
from airssys.wasm.storage_requests import Requests, copied

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Iterable

    from airssys.wasm._native import _core
    from airssys.wasm.storage_blocking import BlockingNamespace, BlockingStorage
    from airssys.wasm.storage_holder import StorageHolder
    from airssys.wasm.storage_records import (
        BatchPart,
        StorageCopy,
        StorageEntry,
        StorageEvent,
        StorageQuota,
        StorageUsage,
    )

__all__ = ["Namespace", "Storage", "StorageWatch"]

P = ParamSpec("P")
T = TypeVar("T")

# Opening, exporting and importing wait for the disk; the loop's own threads are the program's.
_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="airssys-storage")


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, functools.partial(function, *args, **kwargs))


class Namespace:
    """The keys and values of one deployment. Made by `Deployment.storage` and `Storage.namespace`.

    Keys are text of 1 to 256 bytes, in the order of their bytes; values are bytes. A write has been
    made durable when it returns, unless the storage is relaxed. On cancel a write that has begun
    goes on: it is done whole, or not at all.

    Every method raises `HostClosed` once the storage is closed, `InvalidStorageRequest` for what
    cannot be a key, and `StateDirectoryError` where the file cannot be used; a write raises
    `StorageQuotaExceeded` where it would exceed a limit, and has changed nothing then.
    """

    __slots__ = ("_blocking", "_opened")

    def __init__(self, blocking: BlockingNamespace) -> None:
        self._blocking = blocking
        self._opened: Requests | None = None

    @property
    def name(self) -> str:
        """The deployment whose namespace it is."""
        return self._blocking.name

    @property
    def native(self) -> _core.StorageNamespace:
        """The namespace as the native core holds it; opens the storage, and may block for that."""
        return self._blocking.native

    async def _requests(self) -> Requests:
        if self._opened is None or not self._blocking.is_current:
            self._opened = await _in_thread(self._blocking.requests)
        return self._opened

    async def get(self, key: str) -> bytes | None:
        """Return the value of a key, or None where it has none."""
        return await (await self._requests()).get(key).done()

    async def entry(self, key: str) -> StorageEntry | None:
        """Return the value of a key with its version and expiry, or None where it has none."""
        return await (await self._requests()).entry(key).done()

    async def set(self, key: str, value: bytes, *, time_to_live: float | None = None) -> int:
        """Set the value of a key, for so many seconds where `time_to_live` is given.

        Returns:
            Its version.
        """
        return await (await self._requests()).set(key, value, time_to_live).done()

    async def delete(self, key: str) -> bool:
        """Delete a key; return whether it was there."""
        return await (await self._requests()).delete(key).done()

    async def add(self, key: str, amount: int) -> int:
        """Add to the integer that a key holds in decimal digits, 0 if missing; return the sum."""
        return await (await self._requests()).add(key, amount).done()

    async def batch(self, parts: Iterable[BatchPart]) -> int | None:
        """Do all of at most 1,000 `Put`, `Delete` and `Check`, or none.

        Returns:
            The version that what was set has, or None where a `Check` did not hold.
        """
        return await (await self._requests()).batch(parts).done()

    async def compare_and_set(
        self,
        key: str,
        version: int | None,
        value: bytes | None,
        *,
        time_to_live: float | None = None,
    ) -> int | None:
        """Set the value of a key, or delete it, if it still has this version.

        Args:
            key: The key.
            version: As `entry` told it; None: the key must have no value.
            value: The new value; None deletes the key.
            time_to_live: Seconds, or None for a value that stays.

        Returns:
            The new version, or None where the key has another one.
        """
        request = (await self._requests()).compare_and_set(key, version, value, time_to_live)
        return await request.done()

    async def scan(self, prefix: str = "") -> AsyncIterator[StorageEntry]:
        """Yield the entries whose keys begin with `prefix`, in order.

        They are fetched in pages: each page is one moment's state, the whole is not.
        """
        after: str | None = None
        while True:
            entries, after = await (await self._requests()).page(prefix, after).done()
            for entry in entries:
                yield entry
            if after is None:
                return

    async def keys(self, prefix: str = "") -> AsyncIterator[str]:
        """Yield the keys that begin with `prefix`, in order; as `scan`."""
        after: str | None = None
        while True:
            keys, after = await (await self._requests()).keys(prefix, after).done()
            for key in keys:
                yield key
            if after is None:
                return

    async def watch(self, prefix: str = "", *, capacity: int = 1000) -> StorageWatch:
        """Begin to watch the keys that begin with `prefix`.

        Args:
            prefix: The beginning of the keys.
            capacity: Changes that may wait to be looked at; what does not fit is told as a
                `StorageGap`.
        """
        return StorageWatch(await self._requests(), prefix, capacity)

    async def usage(self) -> StorageUsage:
        """Return what the namespace holds and may hold."""
        return await (await self._requests()).usage().done()

    async def clear(self) -> None:
        """Delete everything in the namespace, some hundred keys at a time."""
        await (await self._requests()).clear().done()

    async def export_jsonl(self, path: str | os.PathLike[str]) -> int:
        """Write every entry to a file of JSON lines; return how many. See `import_jsonl`."""
        return await _in_thread(export_jsonl, await self._requests(), path)

    async def import_jsonl(self, path: str | os.PathLike[str]) -> int:
        """Set every entry of a file that `export_jsonl` wrote; return how many.

        Other keys stay as they are. What has expired since is left out.

        Raises:
            InvalidStorageRequest: A line is not an entry; the message names it. What stood before
                it has been set.
        """
        return await _in_thread(import_jsonl, await self._requests(), path)


class StorageWatch:
    """The changes of a namespace as they come: `async for event in await namespace.watch():`.

    It ends when the storage is closed. On cancel no event is lost: the next one is told then.
    """

    __slots__ = ("_native", "_pending", "_ready")

    def __init__(self, requests: Requests, prefix: str, capacity: int) -> None:
        self._native = requests.native.watch(prefix, capacity)
        self._ready: list[StorageEvent] = []
        self._pending: asyncio.Future[list[StorageEvent]] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StorageEvent:
        while not self._ready:
            if self._pending is None:
                self._pending = asyncio.ensure_future(Requests.events(self._native).done())
            events = await asyncio.shield(self._pending)
            self._pending = None
            if not events:
                raise StopAsyncIteration
            self._ready = events[::-1]
        return self._ready.pop()

    async def aclose(self) -> None:
        """Stop watching."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None


class Storage:
    """The storage of a host, or one of its own. Made by `Host.storage`, `in_memory` and `open`."""

    __slots__ = ("_blocking",)

    def __init__(self, blocking: BlockingStorage) -> None:
        self._blocking = blocking

    @classmethod
    def in_memory(cls) -> Self:
        """Return a storage that is gone with it; for tests, and for `copy_to`."""
        from airssys.wasm.storage_blocking import BlockingStorage  # noqa: PLC0415

        return cls(BlockingStorage.in_memory())

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *, relaxed: float | None = None) -> Self:
        """Open a storage file, or make it; see `BlockingStorage.open`."""
        from airssys.wasm.storage_blocking import BlockingStorage  # noqa: PLC0415

        return cls(await _in_thread(BlockingStorage.open, path, relaxed=relaxed))

    def namespace(self, name: str, *, quota: StorageQuota | None = None) -> Namespace:
        """Return a namespace; see `BlockingStorage.namespace`."""
        return Namespace(self._blocking.namespace(name, quota=quota))

    async def namespaces(self) -> tuple[str, ...]:
        """Return the names of the namespaces that hold anything."""
        return await _in_thread(self._blocking.namespaces)

    async def backup(self, path: str | os.PathLike[str]) -> StorageCopy:
        """Write a copy to a new file while the storage is used; see `BlockingStorage.backup`.

        On cancel the file is not made.
        """
        holder = await _in_thread(self._open)
        return await copied(holder.open().backup(path)).done()

    async def copy_to(self, target: Storage) -> StorageCopy:
        """Copy everything into an empty storage; see `BlockingStorage.copy_to`."""
        holder = await _in_thread(self._open)
        other = await _in_thread(target._open)
        return await copied(holder.open().copy_to(other.open())).done()

    def _open(self) -> StorageHolder:
        holder = self._blocking.holder
        holder.open()
        return holder

    async def flush(self) -> None:
        """Make durable what a relaxed storage has acknowledged."""
        await _in_thread(self._blocking.flush)

    async def close(self) -> None:
        """Close the storage, unless it is a host's; see `BlockingStorage.close`."""
        await _in_thread(self._blocking.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
