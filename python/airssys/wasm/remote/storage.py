"""What the deployments of a server store, one request to it for each to the storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from airssys.wasm.remote import operations
from airssys.wasm.remote.wire import BatchRequest, BatchResult, EntryPage
from airssys.wasm.storage_jsonl import export_jsonl, import_jsonl
from airssys.wasm.storage_records import Check, Delete, Put

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from airssys.wasm.remote.host_blocking import BlockingConnectedHost
    from airssys.wasm.storage_records import BatchPart, StorageEntry, StorageUsage

__all__ = ["ConnectedNamespace", "ConnectedStorage"]

T = TypeVar("T")

#: Entries fetched at a time.
_PAGE: Final = 200


class ConnectedNamespace:
    """The keys and values of one deployment of a server; as a `BlockingNamespace`."""

    __slots__ = ("_host", "name")

    def __init__(self, host: BlockingConnectedHost, name: str) -> None:
        self._host = host
        self.name = name

    def get(self, key: str) -> bytes | None:
        """Return the value of a key, or None where it has none."""
        found = self.entry(key)
        return None if found is None else found.value

    def entry(self, key: str) -> StorageEntry | None:
        """Return the value of a key with its version and expiry, or None where it has none."""
        found: StorageEntry | None = self._host.look(operations.entry(self.name, key))
        return found

    def set(self, key: str, value: bytes, *, time_to_live: float | None = None) -> int:
        """Set the value of a key; see `Namespace.set`."""
        version = self.batch([Put(key, value, time_to_live)])
        assert version is not None, "nothing is checked that could refuse it"  # noqa: S101
        return version

    def delete(self, key: str) -> bool:
        """Delete a key; return whether it was there."""
        found = self.entry(key)
        while found is not None:
            if self.batch([Check(key, found.version), Delete(key)]) is not None:
                return True
            found = self.entry(key)  # changed meanwhile
        return False

    def batch(self, parts: Iterable[BatchPart]) -> int | None:
        """Do all of several changes, or none; see `Namespace.batch`."""
        given = list(parts)
        what = BatchRequest(
            put=tuple(each for each in given if isinstance(each, Put)),
            delete=tuple(each.key for each in given if isinstance(each, Delete)),
            check=tuple(each for each in given if isinstance(each, Check)),
        )
        result: BatchResult = self._host.look(operations.store(self.name, what))
        return result.version

    def scan(self, prefix: str = "") -> Iterator[StorageEntry]:
        """Yield the entries whose keys begin with `prefix`, in order; see `Namespace.scan`."""
        after: str | None = None
        while True:
            entries, after = self._page(prefix, after)
            yield from entries
            if after is None:
                return

    def usage(self) -> StorageUsage:
        """Return what the namespace holds and may hold."""
        found: StorageUsage = self._host.look(operations.stored(self.name))
        return found

    def export_jsonl(self, path: str | os.PathLike[str]) -> int:
        """Write every entry to a file of JSON lines; return how many."""
        return export_jsonl(_Pages(self), path)

    def import_jsonl(self, path: str | os.PathLike[str]) -> int:
        """Set every entry of such a file; see `Namespace.import_jsonl`."""
        return import_jsonl(_Pages(self), path)

    def _page(self, prefix: str, after: str | None) -> tuple[tuple[StorageEntry, ...], str | None]:
        page: EntryPage = self._host.look(operations.entries(self.name, prefix, after, _PAGE))
        return page.entries, page.after


class _Done(Generic[T]):
    """The answer of a request that was waited for."""

    def __init__(self, value: T) -> None:
        self._value = value

    def wait(self) -> T:
        return self._value


class _Pages:
    """What files of JSON lines need of a namespace."""

    def __init__(self, namespace: ConnectedNamespace) -> None:
        self._namespace = namespace

    def page(
        self, prefix: str, after: str | None
    ) -> _Done[tuple[tuple[StorageEntry, ...], str | None]]:
        return _Done(self._namespace._page(prefix, after))  # noqa: SLF001 - the same thing

    def batch(self, parts: Iterable[BatchPart]) -> _Done[int | None]:
        return _Done(self._namespace.batch(parts))


class ConnectedStorage:
    """What the deployments of a server store; as a `BlockingStorage`."""

    __slots__ = ("_host",)

    def __init__(self, host: BlockingConnectedHost) -> None:
        self._host = host

    def namespace(self, name: str) -> ConnectedNamespace:
        """Return what a deployment stores.

        Raises:
            UnknownDeployment: There is none of this name.
        """
        self._host.look(operations.deployment(name))
        return ConnectedNamespace(self._host, name)

    def namespaces(self) -> tuple[str, ...]:
        """Return the names of the deployments that store anything."""
        found: dict[str, StorageUsage] = self._host.look(operations.storage())
        return tuple(found)
