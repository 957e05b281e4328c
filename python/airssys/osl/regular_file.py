"""Files that an operator names."""

from __future__ import annotations

import errno
import os
import stat

__all__ = ["read_regular", "read_regular_with"]

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """Return what a regular file holds; nothing else is waited for, or read.

    Args:
        path: The file.
        most: Bytes beyond which it is not taken.

    Raises:
        OSError: There is none, it cannot be read, it is no regular file (`EINVAL`; a directory:
            `EISDIR`) or too large (`EFBIG`).
    """
    return read_regular_with(path, most)[0]


def read_regular_with(path: str | os.PathLike[str], most: int) -> tuple[bytes, os.stat_result]:
    """Return what a regular file holds, and what the system says of that very file.

    Raises:
        OSError: As of `read_regular`.
    """
    name = os.fspath(path)
    # A pipe that nobody writes to would otherwise be waited for without end.
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        found = os.fstat(descriptor)
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFDIR:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        if kind != stat.S_IFREG:
            raise OSError(
                errno.EINVAL, f"is {_KINDS.get(kind, 'no file')}; expected a regular file", name
            )
        with open(descriptor, "rb", closefd=False) as file:
            # One byte more than may be there: a file may grow, and in /proc none says its size.
            data = file.read(most + 1) if found.st_size <= most else None
    finally:
        os.close(descriptor)
    if data is None or len(data) > most:
        raise OSError(errno.EFBIG, f"has more than {most} bytes; expected a smaller file", name)
    return data, found
