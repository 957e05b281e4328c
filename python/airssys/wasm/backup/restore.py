"""Making a state directory from a backup."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.osl.audit_log import verify_log
from airssys.osl.errors import OslError
from airssys.wasm.backup.archive import unpack
from airssys.wasm.backup.errors import BackupUnusable
from airssys.wasm.durable import explained, sync_directory
from airssys.wasm.host_errors import InvalidSetting, StateDirectoryError
from airssys.wasm.registry import Registry
from airssys.wasm.state_lock import StateLock, owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airssys.wasm.backup.archive import BackupInfo

__all__ = ["restore"]

_UNFINISHED: Final = ".restoring-"


def restore(
    file: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> BackupInfo:
    """Make a state directory from a backup; open a host on it afterwards.

    Everything is verified before the directory is there: every file by its digest, the database by
    its own check, that each component that it names came along, and the audit log by its chain. It
    appears whole or not at all; what a killed restore left beside it, the next one deletes.

    Args:
        file: What `Host.backup` wrote.
        directory: The state directory, which does not exist or is empty.
        progress: Told how many bytes of how many have been read.

    Returns:
        What the backup says of itself.

    Raises:
        BackupUnusable: The file is no whole backup; nothing was restored.
        InvalidSetting: The directory holds something.
        StateDirectoryTooNew: A newer AirsSys made the backup.
        StateWriteFailed: There is no room, or the directory cannot be written.
        OSError: The file cannot be read.
    """
    source, target = Path(file), Path(directory).absolute()
    with source.open("rb") as opened, _beside(target) as folder:
        with explained("restore a backup", target):
            info = unpack(opened, folder, name=str(source), progress=progress)
        _check(folder, str(source), info)
        with explained("restore a backup", target):
            _make_durable(folder)
            (folder / "host.lock").unlink(missing_ok=True)
            # Replaces an empty directory, and nothing else.
            folder.rename(target)
            sync_directory(target.parent)
    return info


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Hold a folder beside a directory, which is deleted unless it has become that."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidSetting(
            f"{target} is not empty; a backup is restored to a new state directory",
            hint="name another directory, or move that one away",
        )
    prefix = f".{target.name}{_UNFINISHED}"
    with explained("restore a backup", target):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in target.parent.glob(f"{prefix}*"):
            if owner_of(left) is None:
                shutil.rmtree(left)
        folder = target.parent / f"{prefix}{secrets.token_hex(6)}"
        folder.mkdir(mode=0o700)
    lock = StateLock(folder)
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _check(folder: Path, name: str, info: BackupInfo) -> None:
    """Refuse what a host could not be opened on.

    Raises:
        BackupUnusable: Something is missing or damaged.
        StateDirectoryTooNew: A newer AirsSys made it.
    """

    def unusable(why: str) -> BackupUnusable:
        return BackupUnusable(
            f"{name} is no whole backup of AirsSys: {why}",
            hint="take it from where it was kept again",
            file=name,
        )

    paths = {member.path for member in info.members}
    if "airssys.db" not in paths:
        raise unusable("it holds no database")
    try:
        with contextlib.closing(Registry(folder)) as registry:
            registry.check_whole()
            missing = [
                digest
                for digest in registry.digests()
                if f"blobs/sha256/{digest.removeprefix('sha256:')}" not in paths
            ]
    except StateDirectoryError as error:
        if error.code == "state-directory-too-new":
            raise
        raise unusable(str(error)) from error
    if missing:
        raise unusable(f"its database names {missing[0]}, which did not come along")
    if (folder / "audit").is_dir():
        try:
            verify_log(folder / "audit")
        except OslError as error:
            raise unusable(f"its audit log: {error}") from error


def _make_durable(folder: Path) -> None:
    for each in folder.rglob("*"):
        if each.is_dir():
            sync_directory(each)
        else:
            with each.open("rb") as file:
                os.fsync(file.fileno())
    sync_directory(folder)
