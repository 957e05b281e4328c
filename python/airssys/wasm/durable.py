"""Writing so that an acknowledged write survives, and so that a refused one is explained."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from typing import TYPE_CHECKING

from airssys.wasm.host_errors import StateDirectoryDamaged, StateDirectoryError, StateWriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["explained", "sync_directory"]

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_PLACE = {errno.ENOENT, errno.ENOTDIR}
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def explained(doing: str, directory: Path) -> Iterator[None]:
    """Turn what the system or SQLite refuses inside into one error that names `directory`.

    Args:
        doing: What is being done, to follow "cannot": "record the deployment".
        directory: The state directory.

    Raises:
        StateWriteFailed: No space, not writable, or an input/output error.
        StateDirectoryDamaged: The database is not one.
    """
    try:
        yield
    except OSError as error:
        raise _from_os_error(error, doing, directory) from error
    except sqlite3.Error as error:
        raise _from_sqlite(error, doing, directory) from error


def _from_os_error(error: OSError, doing: str, directory: Path) -> StateDirectoryError:
    reason = (error.strerror or str(error)).lower()
    if error.errno in _NO_SPACE:
        return _no_space(reason, doing, directory)
    if error.errno in _NOT_WRITABLE:
        return _not_writable(reason, doing, directory)
    if error.errno in _NO_PLACE:
        return StateDirectoryError(
            f"cannot {doing}: {directory}: {reason}",
            hint="name a directory whose parents exist or can be made",
            directory=str(directory),
        )
    return StateWriteFailed(
        f"cannot {doing}: state directory {directory}: {reason}",
        hint="nothing was changed; see the system's log for the device",
        directory=str(directory),
    )


def _from_sqlite(error: sqlite3.Error, doing: str, directory: Path) -> StateDirectoryError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return _no_space("the disk is full", doing, directory)
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return _not_writable(str(error), doing, directory)
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}:
        return StateDirectoryDamaged(
            f"{directory / 'airssys.db'} is damaged ({error})",
            hint="restore the state directory from a backup",
            directory=str(directory),
        )
    return StateWriteFailed(
        f"cannot {doing}: state directory {directory}: {error}",
        hint="nothing was changed; check the free space and the device",
        directory=str(directory),
    )


def _no_space(reason: str, doing: str, directory: Path) -> StateWriteFailed:
    return StateWriteFailed(
        f"cannot {doing}: no room in state directory {directory} ({reason})",
        hint="nothing was changed; free some space and try again",
        directory=str(directory),
    )


def _not_writable(reason: str, doing: str, directory: Path) -> StateWriteFailed:
    return StateWriteFailed(
        f"cannot {doing}: state directory {directory} is not writable ({reason})",
        hint="name a directory that this user may write to",
        directory=str(directory),
    )
