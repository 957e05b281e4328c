"""Storage of components, for programs without an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from airssys.wasm.limits import Limits
from airssys.wasm.storage_holder import StorageHolder, StorageSettings
from airssys.wasm.storage_jsonl import export_jsonl, import_jsonl
from airssys.wasm.storage_records import StorageQuota
from airssys.wasm.storage_requests import Requests, copied

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from airssys.wasm._native import _core
    from airssys.wasm.storage_records import (
        BatchPart,
        StorageCopy,
        StorageEntry,
        StorageEvent,
        StorageUsage,
    )

__all__ = ["BlockingNamespace", "BlockingStorage"]


class BlockingNamespace:
    """The keys and values of one deployment; as `Namespace`, where every method blocks.

    Made by `BlockingDeployment.storage` and `BlockingStorage.namespace`. Safe to use from several
    threads; `KeyboardInterrupt` ends a wait, and a write that has begun goes on.
    """

    __slots__ = ("_holder", "_opened", "_quota", "name")

    def __init__(self, holder: StorageHolder, name: str, quota: Callable[[], StorageQuota]) -> None:
        self.name = name
        self._holder = holder
        self._quota = quota
        self._opened: Requests | None = None

    @property
    def is_current(self) -> bool:
        """Whether the requests made last hold for the present quota."""
        return self._opened is not None and self._opened.quota == self._quota()

    def requests(self) -> Requests:
        """Open the storage where it is not open, and return the requests to the namespace."""
        opened = self._opened
        if opened is None or not self.is_current:
            opened = self._opened = Requests(self._holder.namespace(self.name, self._quota()))
        return opened

    @property
    def native(self) -> _core.StorageNamespace:
        """The namespace as the native core holds it; opens the storage."""
        return self.requests().native

    def get(self, key: str) -> bytes | None:
        """Return the value of a key, or None where it has none."""
        return self.requests().get(key).wait()

    def entry(self, key: str) -> StorageEntry | None:
        """Return the value of a key with its version and expiry, or None where it has none."""
        return self.requests().entry(key).wait()

    def set(self, key: str, value: bytes, *, time_to_live: float | None = None) -> int:
        """Set the value of a key; see `Namespace.set`."""
        return self.requests().set(key, value, time_to_live).wait()

    def delete(self, key: str) -> bool:
        """Delete a key; return whether it was there."""
        return self.requests().delete(key).wait()

    def add(self, key: str, amount: int) -> int:
        """Add to the integer that a key holds; see `Namespace.add`."""
        return self.requests().add(key, amount).wait()

    def batch(self, parts: Iterable[BatchPart]) -> int | None:
        """Do all of several changes, or none; see `Namespace.batch`."""
        return self.requests().batch(parts).wait()

    def compare_and_set(
        self,
        key: str,
        version: int | None,
        value: bytes | None,
        *,
        time_to_live: float | None = None,
    ) -> int | None:
        """Set or delete a key if it still has this version; see `Namespace.compare_and_set`."""
        return self.requests().compare_and_set(key, version, value, time_to_live).wait()

    def scan(self, prefix: str = "") -> Iterator[StorageEntry]:
        """Yield the entries whose keys begin with `prefix`, in order; see `Namespace.scan`."""
        after: str | None = None
        while True:
            entries, after = self.requests().page(prefix, after).wait()
            yield from entries
            if after is None:
                return

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys that begin with `prefix`, in order; as `scan`."""
        after: str | None = None
        while True:
            keys, after = self.requests().keys(prefix, after).wait()
            yield from keys
            if after is None:
                return

    def watch(self, prefix: str = "", *, capacity: int = 1000) -> Iterator[StorageEvent]:
        """Watch keys from now on, and yield each change; see `Namespace.watch`."""
        watcher = self.requests().native.watch(prefix, capacity)

        def events() -> Iterator[StorageEvent]:
            while told := Requests.events(watcher).wait():
                yield from told

        return events()

    def usage(self) -> StorageUsage:
        """Return what the namespace holds and may hold."""
        return self.requests().usage().wait()

    def clear(self) -> None:
        """Delete everything in the namespace, some hundred keys at a time."""
        self.requests().clear().wait()

    def export_jsonl(self, path: str | os.PathLike[str]) -> int:
        """Write every entry to a file of JSON lines; return how many."""
        return export_jsonl(self.requests(), path)

    def import_jsonl(self, path: str | os.PathLike[str]) -> int:
        """Set every entry of such a file; see `Namespace.import_jsonl`."""
        return import_jsonl(self.requests(), path)


class BlockingStorage:
    """The storage of a host, or one of its own; as `Storage`, where every method blocks."""

    __slots__ = ("_may_close", "_quota_of", "holder")

    def __init__(
        self,
        holder: StorageHolder,
        quota_of: Callable[[str], StorageQuota] | None = None,
    ) -> None:
        self.holder = holder
        self._quota_of = quota_of
        self._may_close = quota_of is None

    @classmethod
    def in_memory(cls) -> Self:
        """Return a storage that is gone with it; for tests, and for `copy_to`."""
        return cls(StorageHolder(None, StorageSettings(in_memory=True)))

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, relaxed: float | None = None) -> Self:
        """Open a storage file, or make it where there is none.

        Args:
            path: The file, such as a backup. That of a state directory belongs to its host.
            relaxed: None: a write returns once it is on the disk. Seconds: it returns at once and
                is on the disk within them; a crash loses the last writes, never one before another.

        Raises:
            StateDirectoryInUse: Another process or host has the file open.
            StateDirectoryTooNew: A newer version of AirsSys wrote it.
            StateDirectoryDamaged: It is no storage, or damaged beyond repair.
            StateWriteFailed: It cannot be written.
        """
        holder = StorageHolder(path, StorageSettings(relaxed=relaxed))
        holder.open()
        return cls(holder)

    def namespace(self, name: str, *, quota: StorageQuota | None = None) -> BlockingNamespace:
        """Return a namespace; it is made by its first write.

        Args:
            name: The namespace. In the storage of a host: a deployment there is.
            quota: What it may hold; by default the limits of the deployment, or the default
                `Limits` where there is none.

        Raises:
            UnknownDeployment: The host has no deployment of this name.
        """
        if self._quota_of is None:
            given = quota or StorageQuota.of(Limits())
            return BlockingNamespace(self.holder, name, lambda: given)
        quota_of = self._quota_of
        quota_of(name)
        return BlockingNamespace(self.holder, name, lambda: quota or quota_of(name))

    def namespaces(self) -> tuple[str, ...]:
        """Return the names of the namespaces that hold anything."""
        names: tuple[str, ...] = self.holder.open().namespaces().wait()
        return names

    def backup(self, path: str | os.PathLike[str]) -> StorageCopy:
        """Write a copy of the present state to a new file, while the storage is used.

        The file is a storage: `BlockingStorage.open` reads it, and put in the place of `kv/` of a
        state directory that no host has open, it is that host's.

        Raises:
            InvalidStorageRequest: There is a file at `path`.
            StateWriteFailed: It cannot be written.
        """
        return copied(self.holder.open().backup(path)).wait()

    def copy_to(self, target: BlockingStorage) -> StorageCopy:
        """Copy everything into an empty storage, of whatever backend, and compare the two.

        Nothing may write to either meanwhile.

        Raises:
            InvalidStorageRequest: `target` is not empty, or differs afterwards.
        """
        return copied(self.holder.open().copy_to(target.holder.open())).wait()

    def flush(self) -> None:
        """Make durable what a relaxed storage has acknowledged."""
        self.holder.open().flush().wait()

    def close(self) -> None:
        """Take no request any more; what was acknowledged is durable then.

        The storage of a host is closed with it, and not by this.
        """
        if self._may_close:
            self.holder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
