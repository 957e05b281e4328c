"""Requests to storage, prepared once for the two ways to wait for them."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from airssys.wasm.storage_records import (
    BatchPart,
    Check,
    Delete,
    Put,
    StorageChange,
    StorageCopy,
    StorageEntry,
    StorageEvent,
    StorageGap,
    StorageQuota,
    StorageUsage,
    milliseconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airssys.wasm._native import _core

__all__ = ["Request", "Requests", "copied"]

T = TypeVar("T")

#: Entries fetched at a time by a scan.
PAGE: Final = 500
_LATEST: Final = 253_402_300_799


class Request(Generic[T]):
    """One request; awaited, or waited for, once.

    Args:
        operation: What the native core does.
        convert: Makes the answer of what it gives.
    """

    __slots__ = ("_convert", "_operation")

    def __init__(
        self, operation: _core.StorageOperation, convert: Callable[[Any], T] = lambda given: given
    ) -> None:
        self._operation = operation
        self._convert = convert

    def wait(self) -> T:
        """Do it on this thread, the interpreter being free for others."""
        return self._convert(self._operation.wait())

    async def done(self) -> T:
        """Do it on the native threads. On cancel a write that has begun goes on."""
        try:
            await self._operation.start()
        except asyncio.CancelledError:
            self._operation.stop()
            raise
        return self._convert(self._operation.result())


class Requests:
    """The requests to one namespace.

    Args:
        native: The namespace as the native core holds it.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _core.StorageNamespace) -> None:
        self._native = native

    @property
    def native(self) -> _core.StorageNamespace:
        """The namespace as the native core holds it."""
        return self._native

    @property
    def quota(self) -> StorageQuota:
        """What the namespace may hold."""
        return StorageQuota(*self._native.quota)

    def get(self, key: str) -> Request[bytes | None]:
        """Ask for the value of a key."""
        return Request(self._native.get(key), lambda found: None if found is None else found[0])

    def entry(self, key: str) -> Request[StorageEntry | None]:
        """Ask for the value of a key with what belongs to it."""
        return Request(
            self._native.get(key), lambda found: None if found is None else _entry(key, *found)
        )

    def set(self, key: str, value: bytes, time_to_live: float | None) -> Request[int]:
        """Set a value; gives its version."""
        part = ("set", key, _bytes(value), milliseconds(time_to_live))
        return Request(self._native.apply([part]), lambda done: done[1])

    def delete(self, key: str) -> Request[bool]:
        """Delete a key; gives whether it was there."""
        return Request(self._native.apply([("delete", key)]), lambda done: done[2][0])

    def add(self, key: str, amount: int) -> Request[int]:
        """Add to an integer; gives the sum."""
        return Request(self._native.apply([("add", key, amount)]), lambda done: done[3])

    def batch(self, parts: Iterable[BatchPart]) -> Request[int | None]:
        """Do all or nothing; gives the version, or None where a check did not hold."""
        rows = [_row(part) for part in parts]
        return Request(self._native.apply(rows), lambda done: done[1] if done[0] else None)

    def compare_and_set(
        self, key: str, version: int | None, value: bytes | None, time_to_live: float | None
    ) -> Request[int | None]:
        """Change a key that has this version; gives the new one, or None."""
        change = Delete(key) if value is None else Put(key, value, time_to_live)
        return self.batch([Check(key, version), change])

    def page(
        self, prefix: str, after: str | None, limit: int = PAGE
    ) -> Request[tuple[list[StorageEntry], str | None]]:
        """Ask for some entries, and where to go on."""
        return Request(
            self._native.page(prefix, after, limit, True),
            lambda page: ([_entry(*each) for each in page[0]], page[1]),
        )

    def keys(self, prefix: str, after: str | None) -> Request[tuple[list[str], str | None]]:
        """Ask for some keys, and where to go on."""
        return Request(
            self._native.page(prefix, after, 1000, False),
            lambda page: ([each[0] for each in page[0]], page[1]),
        )

    def usage(self) -> Request[StorageUsage]:
        """Ask for what is held."""
        return Request(
            self._native.usage(), lambda used: StorageUsage(used[0], used[1], self.quota)
        )

    def clear(self) -> Request[None]:
        """Delete everything."""
        return Request(self._native.clear())

    @staticmethod
    def events(watcher: _core.StorageWatcher) -> Request[list[StorageEvent]]:
        """Ask for the next events, at least one."""
        return Request(watcher.next(100), lambda told: [_event(*each) for each in told])


def copied(operation: _core.StorageOperation) -> Request[StorageCopy]:
    """Return the request that copies a storage."""
    return Request(operation, lambda given: StorageCopy(*given))


def _entry(key: str, value: bytes, version: int, expires: int | None) -> StorageEntry:
    moment = None
    if expires is not None:
        # A guest may name a time beyond what a datetime can be.
        moment = dt.datetime.fromtimestamp(min(expires / 1000, _LATEST), dt.UTC)
    return StorageEntry(key, value, version, moment)


def _event(*told: Any) -> StorageEvent:
    return StorageGap(told[0]) if len(told) == 1 else StorageChange(*told)


def _row(part: BatchPart) -> tuple[Any, ...]:
    match part:
        case Put():
            return ("set", part.key, _bytes(part.value), milliseconds(part.time_to_live))
        case Delete():
            return ("delete", part.key)
        case Check():
            return ("check", part.key, part.version)
    raise TypeError(f"a part of a batch is a Put, Delete or Check, not {type(part).__name__}")


def _bytes(value: bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"a value is bytes, not {type(value).__name__}; encode it first")
