"""A storage that is opened when it is first used."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from airssys.wasm._native import _core
from airssys.wasm.durable import explained, sync_directory
from airssys.wasm.errors import ForkedHostError
from airssys.wasm.host_errors import HostClosed, InvalidSetting
from airssys.wasm.limits import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.wasm.storage_records import StorageQuota

__all__ = ["StorageHolder", "StorageSettings"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """How a host stores.

    Attributes:
        relaxed: None: a write is acknowledged once it is on the disk. Seconds: it is acknowledged
            at once and on the disk within them; a crash loses the last writes, never one before
            another.
        in_memory: Keep nothing; for tests.
        cache: Bytes of the file that are kept in memory; `int` or text such as `"64MiB"`.
    """

    relaxed: float | None = None
    in_memory: bool = False
    cache: int | str = "64MiB"

    def __post_init__(self) -> None:
        """Check every setting."""
        if self.relaxed is not None and not 0.001 <= self.relaxed <= 60:
            raise InvalidSetting(
                f"relaxed={self.relaxed} is out of range", hint="name 0.001 to 60 seconds"
            )
        parse_bytes(self.cache, name="cache")


class StorageHolder:
    """Opens a storage once. Every method may be called by any thread, and blocks.

    Args:
        path: The file; its folder is made where it is missing. None for one in memory.
        settings: How it is opened.
        removed: Gives the names of deployments that are gone: what they stored goes with them, also
            where a kill came between.

    Attributes:
        offers: What deployments share of it with each other.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        settings: StorageSettings,
        removed: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._path = None if path is None or settings.in_memory else Path(path).absolute()
        self._settings = settings
        self._removed = removed
        self._process = os.getpid()
        self._one_opening = threading.Lock()
        self._native: _core.Storage | None = None
        self._closed = False
        self.offers = _core.StorageOffers()

    def open(self) -> _core.Storage:
        """Return the open storage.

        Raises:
            StateDirectoryError: The file cannot be used; a subclass says why.
            HostClosed: It was closed.
            ForkedHostError: It was opened by another process, before a fork.
        """
        if os.getpid() != self._process:
            raise ForkedHostError(
                "this storage was opened by another process, before a fork; open it after the fork"
            )
        with self._one_opening:
            if self._closed:
                raise HostClosed("the storage is closed", hint="open it again")
            if self._native is None:
                self._native = self._opened()
            return self._native

    def namespace(self, name: str, quota: StorageQuota) -> _core.StorageNamespace:
        """Return a namespace of the open storage; raises as `open`."""
        return self.open().namespace(
            name, bytes=quota.bytes, keys=quota.keys, key=quota.key, value=quota.value
        )

    @property
    def has_content(self) -> bool:
        """Whether the storage is open, or there is a file."""
        return self._native is not None or (self._path is not None and self._path.exists())

    def clear(self, name: str) -> None:
        """Delete what a deployment stored, if anything ever was; raises as `open`."""
        if self.has_content:
            self._clear(self.open(), name)

    def close(self) -> None:
        """Take no request any more; what was acknowledged is durable then."""
        if os.getpid() != self._process:
            return
        with self._one_opening:
            self._closed = True
            native, self._native = self._native, None
        if native is not None:
            native.close()

    def _opened(self) -> _core.Storage:
        if self._path is not None:
            with explained("make the folder of the storage", self._path.parent):
                if not self._path.parent.is_dir():
                    self._path.parent.mkdir(mode=0o700, parents=True)
                    sync_directory(self._path.parent.parent)
        native = _core.Storage(
            self._path,
            relaxed=self._settings.relaxed,
            cache=parse_bytes(self._settings.cache, name="cache"),
        )
        removed = self._removed()
        for name in native.namespaces().wait() if removed else ():
            if name in removed:
                self._clear(native, name)
        return native

    @staticmethod
    def _clear(native: _core.Storage, name: str) -> None:
        largest = 1 << 62
        namespace = native.namespace(name, bytes=largest, keys=largest, key=largest, value=largest)
        namespace.clear().wait()
