"""Making a backup of a state directory while its host runs."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import secrets
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from airssys.wasm.backup.archive import write
from airssys.wasm.durable import explained, sync_directory
from airssys.wasm.host_errors import InvalidSetting

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from airssys.wasm.backup.archive import BackupInfo
    from airssys.wasm.state_directory import StateDirectory
    from airssys.wasm.storage_holder import StorageHolder

__all__ = ["BackupMaker"]

#: Files beside the database that belong to the state: what is trusted, and what signs the log.
_BESIDE: Final = ("trust.json", "audit.key", "audit.key.pub")
#: Of the log, what belongs to its present owner alone.
_OF_THE_OWNER: Final = ("lock", "spare", "owner", "owner.new", "repeats")


class BackupMaker:
    """Writes backups of one open state directory. Every method may be called by any thread.

    Each part is a state that was there: first the database, with all components that it names and
    the trust in them, then the log, then what components stored. The log is never behind what the
    database says of it. Not in a backup: compiled code and the lines that guests logged.

    Args:
        state: The open state directory.
        storage: What components stored.
        storing: Held while a component is between its arrival and its record.
        version: Of AirsSys.
    """

    def __init__(
        self, state: StateDirectory, storage: StorageHolder, storing: threading.Lock, version: str
    ) -> None:
        self._state = state
        self._storage = storage
        self._storing = storing
        self._version = version

    def to_file(self, path: str | os.PathLike[str]) -> BackupInfo:
        """Write a backup to a new file, which is there whole or not at all.

        Raises:
            InvalidSetting: There is something at `path` already.
            StateWriteFailed: There is no room, or something cannot be read or written.
        """
        with new_file(Path(path)) as file:
            return self.to_stream(file)

    def to_stream(self, file: IO[bytes]) -> BackupInfo:
        """Write a backup to an open file, from where it stands; raises as `to_file`."""
        with self._staged() as folder, explained("write the backup", self._state.path):
            made = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            return write(folder, file, airssys=self._version, made=made)

    @contextlib.contextmanager
    def _staged(self) -> Iterator[Path]:
        """Hold a copy of the state that nobody changes."""
        state = self._state.path
        folder = state / f"{self._state.UNFINISHED_BACKUP}{secrets.token_hex(6)}"
        with explained("copy the state for a backup", state):
            folder.mkdir(mode=0o700)
            try:
                self._copy(state, folder)
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _copy(self, state: Path, folder: Path) -> None:
        with self._storing:
            self._state.registry.copy_to(folder / "airssys.db")
            blobs = folder / "blobs" / "sha256"
            blobs.mkdir(mode=0o700, parents=True)
            # They never change, so that another name is as good as a copy.
            for blob in (state / "blobs" / "sha256").iterdir():
                if blob.suffix != ".partial":
                    os.link(blob, blobs / blob.name)
        for name in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(state / name, folder / name)
        if (state / "audit").is_dir():
            _copy_log(state / "audit", folder / "audit")
        if self._storage.has_content:
            (folder / "kv").mkdir(mode=0o700)
            self._storage.open().backup(folder / "kv" / "storage.redb").wait()


def _copy_log(log: Path, target: Path) -> None:
    """Copy an audit log that goes on being written, up to its last whole record."""
    target.mkdir(mode=0o700)
    names = sorted(each.name for each in log.iterdir() if each.is_file())
    # Checkpoints first: the records are at least as far as those say.
    names.sort(key=lambda name: name.startswith("segment-"))
    for name in names:
        if name in _OF_THE_OWNER:
            continue
        try:
            content = (log / name).read_bytes()
        except FileNotFoundError:
            continue  # its retention is over since it was listed
        if name.startswith("segment-"):
            # What is reserved and not written yet is zero.
            content = content[: content.find(b"\0")] if b"\0" in content else content
            content = content[: content.rfind(b"\n") + 1]
        (target / name).write_bytes(content)
    # Neither closed nor of this boot: the log will say that records may be missing behind it.
    (target / "owner").write_text("backup", "ascii")


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears at `path` once it is whole and durable, or never.

    Raises:
        InvalidSetting: There is something at `path` already.
        StateWriteFailed: It cannot be written.
    """
    path = path.absolute()
    taken = InvalidSetting(
        f"{path} exists; a backup is a new file", hint="name another file, or move that one away"
    )
    if os.path.lexists(path):
        raise taken
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    with explained("write the backup", path.parent):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(partial, flags, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            yield file
            with explained("write the backup", path.parent):
                file.flush()
                os.fsync(file.fileno())
        with explained("write the backup", path.parent):
            try:
                os.link(partial, path)
            except FileExistsError:
                raise taken from None
            sync_directory(path.parent)
    finally:
        partial.unlink(missing_ok=True)
