"""The sockets that the control API listens on."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import TYPE_CHECKING

from airssys.wasm.host_errors import InvalidSetting

if TYPE_CHECKING:
    from pathlib import Path

    from airssys.wasm.remote.address import Address

__all__ = ["listen"]

_BACKLOG = 256
#: Bytes that the kernel has for the path of a socket, with the zero at its end.
_MOST_PATH = 108


def listen(address: Address, *, others: bool = False) -> socket.socket:
    """Return a socket that listens at an address.

    One in the file system has the mode 0600, from the moment on at which it is there.

    Args:
        address: Where.
        others: Let every user connect to one in the file system; who it is is looked at then.

    Raises:
        InvalidSetting: The address is in use, or cannot be used.
    """
    try:
        if address.path is not None:
            return _local(address.path, others=others)
        family, kind, _, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
            listening.listen(_BACKLOG)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        raise InvalidSetting(
            f"cannot listen at {address}: {error.strerror or error}",
            hint="another process has it, or it cannot be had here; name another",
        ) from error
    return listening


def _local(path: Path, *, others: bool) -> socket.socket:
    if len(os.fsencode(path)) >= _MOST_PATH:
        raise InvalidSetting(
            f"the path of socket {path} is longer than the {_MOST_PATH - 1} bytes that Linux takes",
            hint="--control unix:PATH names a shorter one",
        )
    _remove_left(path)
    listening = socket.socket(socket.AF_UNIX)
    # Bound under another name and mode, then moved: nobody finds it with the mode of the umask.
    beside = path.with_name(f".{os.getpid()}.sock")
    try:
        listening.bind(str(beside))
        try:
            beside.chmod(0o666 if others else 0o600)
            listening.listen(_BACKLOG)
            beside.rename(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except BaseException:
        listening.close()
        raise
    return listening


def _remove_left(path: Path) -> None:
    """Remove a socket that nobody listens at any more, and nothing else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "there is something that is no socket")
    with socket.socket(socket.AF_UNIX) as trying:
        trying.settimeout(1)
        try:
            trying.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise OSError(errno.EADDRINUSE, "a server listens there")
