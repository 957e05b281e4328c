"""One owner for each state directory."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path

from airssys.wasm.durable import explained
from airssys.wasm.host_errors import StateDirectoryInUse

__all__ = ["StateLock", "owner_of"]


class StateLock:
    """The ownership of a state directory, held until `release` or the end of the process.

    The lock is an `flock` on `host.lock`: the kernel drops it when the owner dies, however it dies.
    The file also holds the owner's process id, for the error that a second owner gets.

    Args:
        directory: The state directory; it exists.

    Raises:
        StateDirectoryInUse: Somebody else owns the directory.
        StateWriteFailed: The lock file cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / "host.lock"
        with explained("take the lock", directory):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with explained("take the lock", directory):
                try:
                    fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise _in_use(directory, os.pread(self._descriptor, 32, 0)) from None
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)
        except BaseException:
            os.close(self._descriptor)
            raise
        _held.add(self)

    def release(self) -> None:
        """Give the directory up. Does nothing the second time."""
        if self._descriptor >= 0:
            # A child forked a moment ago may not have closed its copy yet, which would keep it.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self._close()

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1


def owner_of(directory: Path) -> str | None:
    """Return the process id of whoever owns a state directory now; None for nobody."""
    path = directory / "host.lock"
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    # Looked up and not tried: a lock that is tried would for that moment keep a host from starting.
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in Path("/proc/locks").read_text("ascii").splitlines():
        fields = line.split()
        if "FLOCK" in fields and "->" not in fields and device in fields:
            return path.read_text("ascii", "replace").strip()
    return None


#: The locks of this process: a forked child closes its copies, so that it cannot outlive the owner
#: as an owner. Closing a copy leaves the parent's lock as it is.
_held: weakref.WeakSet[StateLock] = weakref.WeakSet()


def _drop_after_fork() -> None:
    for lock in list(_held):
        if lock._descriptor >= 0:  # noqa: SLF001
            lock._close()  # noqa: SLF001


os.register_at_fork(after_in_child=_drop_after_fork)


def _in_use(directory: Path, content: bytes) -> StateDirectoryInUse:
    owner = content.decode("ascii", "replace").strip()
    if owner == str(os.getpid()):
        who = "another host of this process"
    elif owner.isdigit():
        who = f"process {owner}"
    else:
        who = "another process"
    return StateDirectoryInUse(
        f"state directory {directory} is in use by {who}",
        hint="close that host first, or name another directory",
        directory=str(directory),
        owner=owner,
    )
