"""A state directory, opened by its one owner."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final, Self

from airssys.wasm.blobs import BlobStore
from airssys.wasm.durable import explained, sync_directory
from airssys.wasm.host_errors import StateDirectoryError
from airssys.wasm.registry import Registry
from airssys.wasm.state_lock import StateLock

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["StateDirectory", "open_registry", "open_registry_beside"]

#: What AirsSys makes first: any of these may stand alone when the very first opening was killed.
_FIRST_ENTRIES: Final = ("airssys.db", "host.lock", "blobs", "trust.json")


class StateDirectory:
    """The registry and the content store of one directory, and the ownership of it.

    Whatever happened to an earlier owner, opening brings the directory into order: SQLite finishes
    or forgets its last transaction, and what a killed writer left half-written is deleted.

    Attributes:
        path: The directory, absolute.
        registry: The deployments and their revisions.
        blobs: The bytes of the components.

    Raises:
        StateDirectoryError: The path is not a state directory, or one of the subclasses says what
            is wrong with it: in use, too new, damaged, not writable, full.
    """

    #: How the folders begin in which a backup is put together.
    UNFINISHED_BACKUP: Final = "unfinished-backup-"

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        _make(self.path)
        self._lock = StateLock(self.path)
        try:
            self.registry = Registry(self.path)
            try:
                self.blobs = BlobStore(self.path)
                with explained("delete what a killed backup left", self.path):
                    for left in self.path.glob(f"{self.UNFINISHED_BACKUP}*"):
                        shutil.rmtree(left)
            except BaseException:
                self.registry.close()
                raise
        except BaseException:
            self._lock.release()
            raise

    def collect(self) -> int:
        """Delete the components that no deployment needs; return how many bytes that freed."""
        return self.blobs.keep_only(self.registry.digests())

    def close(self) -> None:
        """Close the registry and give up the ownership."""
        try:
            self.registry.close()
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_registry(path: Path) -> Registry:
    """Open the registry of a state directory to look only, whether or not somebody owns it.

    Raises:
        StateDirectoryError: There is no state directory at `path`, or it cannot be read.
    """
    return Registry(_need(path), mode="read")


def open_registry_beside(path: Path) -> Registry:
    """Open the registry to write what its owner takes up: grants, revocations and answers.

    Raises:
        StateDirectoryError: There is no state directory at `path`, an older version of AirsSys
            wrote it last, or it cannot be written.
    """
    return Registry(_need(path), mode="beside")


def _need(path: Path) -> Path:
    path = path.absolute()
    if path.exists() and not path.is_dir():
        raise StateDirectoryError(
            f"{path} is not a directory",
            hint="name a directory for the state of the host",
            directory=str(path),
        )
    if not (path / "airssys.db").is_file():
        raise StateDirectoryError(
            f"there is no state directory at {path}",
            hint="`airssys deploy FILE --name NAME --state DIR` makes one",
            directory=str(path),
        )
    return path


def _make(path: Path) -> None:
    with explained("make the state directory", path):
        if not path.exists():
            path.mkdir(mode=0o700, parents=True)
            sync_directory(path.parent)
            return
        if not path.is_dir():
            raise StateDirectoryError(
                f"{path} is not a directory", hint="name a directory for the state of the host"
            )
        entries = {entry.name for entry in path.iterdir()}
    if entries and not entries.intersection(_FIRST_ENTRIES):
        raise StateDirectoryError(
            f"{path} is not empty and holds no state of AirsSys",
            hint="name an empty directory, or one that does not exist yet",
            directory=str(path),
        )
