"""Files and directories: resolved, checked and used on one descriptor."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from typing import TYPE_CHECKING

from airssys.osl.errors import LimitExceeded
from airssys.osl.executor import executor
from airssys.osl.files.operations import (
    CopyFile,
    DeleteFile,
    ListDirectory,
    MakeDirectory,
    MoveFile,
    PathLike,
    ReadFile,
    RemoveDirectory,
    StatFile,
    WalkDirectory,
    WatchPath,
    WriteFile,
)
from airssys.osl.files.records import Entry, FileStat, kind_of
from airssys.osl.files.walk import Walk, scan
from airssys.osl.files.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.osl._native import OpenedFile
    from airssys.osl.authority import Authority

# Up to this size a read is first tried without waiting, which a file in the page cache allows.
_INLINE = 1 << 20
_CHUNK = 1 << 20


def plain(path: PathLike) -> str | bytes:
    """Return a path as the native functions take it: absolute, and otherwise as it was written."""
    written = path if isinstance(path, (str, bytes)) else os.fspath(path)
    if isinstance(written, bytes):
        return written if written[:1] == b"/" else os.path.join(os.getcwdb(), written)
    return written if written[:1] == "/" else os.path.join(os.getcwd(), written)


@executor(ReadFile, decides="itself")
async def read_file(operation: ReadFile, authority: Authority) -> bytes:
    """Read without a thread what the page cache has, and the rest in a thread."""
    path = plain(operation.path)
    opened = await authority.acquire(
        "filesystem",
        "read",
        lambda approved_by: authority.gate.open(
            authority.subject, path, "read", approved_by=approved_by
        ),
    )
    try:
        wanted = operation.length
        if wanted is None:
            wanted = max(opened.size - operation.offset, 0)
            if wanted > operation.limit:
                raise _too_long(opened.path, operation.limit)
        if 0 < wanted <= _INLINE:
            data = _read_cached(opened.fd, operation.offset, wanted, whole=operation.length is None)
            if data is not None:
                return data
        return await asyncio.to_thread(_read, opened, operation)
    finally:
        opened.close()


def _read_cached(descriptor: int, offset: int, wanted: int, *, whole: bool) -> bytes | None:
    """Return the bytes when the page cache has them all, without ever waiting for a disk."""
    # One byte more than the size shows the end of the file in the same call.
    buffer = bytearray(wanted + 1 if whole else wanted)
    try:
        count = os.preadv(descriptor, (buffer,), offset, os.RWF_NOWAIT)
    except OSError as error:
        # EAGAIN: not in the cache. EOPNOTSUPP: this file system cannot tell.
        if error.errno in {errno.EAGAIN, errno.EOPNOTSUPP}:
            return None
        raise
    if count == wanted:
        return bytes(memoryview(buffer)[:count])
    return None


def _read(opened: OpenedFile, operation: ReadFile) -> bytes:
    end = operation.limit if operation.length is None else operation.length
    parts: list[bytes] = []
    total = 0
    # A file that grows while it is read is read to where it then ends, up to the limit.
    while total < end or operation.length is None:
        part = os.pread(opened.fd, min(_CHUNK, end - total + 1), operation.offset + total)
        if not part:
            break
        total += len(part)
        parts.append(part)
        if total > end:
            if operation.length is not None:
                parts[-1] = part[: len(part) - (total - end)]
                break
            raise _too_long(opened.path, operation.limit)
    return b"".join(parts)


def _too_long(path: str, limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"{path!r} is longer than the limit of {limit} bytes; "
        "pass a larger `limit`, or read it in parts with `offset` and `length`",
        path=path,
        limit=limit,
    )


@executor(WriteFile, decides="itself")
async def write_file(operation: WriteFile, authority: Authority) -> int:
    """Write in a thread, since making a file waits for the file system's journal."""
    path = plain(operation.path)
    gate, subject = authority.gate, authority.subject

    def write(approved_by: str | None) -> int:
        if operation.mode == "replace":
            replacement = gate.replace(
                subject, path, permissions=operation.mode_bits, approved_by=approved_by
            )
            try:
                count = _write_all(replacement.fd, operation.data)
            except BaseException:
                replacement.abort()
                raise
            replacement.commit()
            return count
        mode = "write" if operation.mode == "overwrite" else operation.mode
        opened = gate.open(
            subject,
            path,
            mode,
            truncate=operation.mode == "overwrite",
            permissions=operation.mode_bits,
            approved_by=approved_by,
        )
        try:
            return _write_all(opened.fd, operation.data)
        finally:
            opened.close()

    access = "create" if operation.mode == "create" else "write"
    return await authority.acquire("filesystem", access, write, in_thread=True)


def _write_all(descriptor: int, data: bytes | bytearray | memoryview) -> int:
    view = memoryview(data).cast("B")
    written = 0
    while written < len(view):
        written += os.write(descriptor, view[written : written + (_CHUNK << 4)])
    return written


@executor(DeleteFile, decides="itself")
async def delete_file(operation: DeleteFile, authority: Authority) -> None:
    """Remove the name in the directory that was checked."""
    await _unlink(plain(operation.path), authority)


async def _unlink(path: str | bytes, authority: Authority) -> None:
    await authority.acquire(
        "filesystem",
        "delete",
        lambda approved_by: authority.gate.unlink(authority.subject, path, approved_by=approved_by),
        in_thread=True,
    )


@executor(CopyFile, decides="itself")
async def copy_file(operation: CopyFile, authority: Authority) -> int:
    """Copy inside the kernel into a file that gets its name when it is whole."""
    return await _copy(plain(operation.source), plain(operation.destination), operation, authority)


async def _copy(
    source: str | bytes,
    destination: str | bytes,
    operation: CopyFile | MoveFile,
    authority: Authority,
) -> int:
    gate, subject = authority.gate, authority.subject
    opened = await authority.acquire(
        "filesystem",
        "read",
        lambda approved_by: gate.open(subject, source, "read", approved_by=approved_by),
    )

    def copy(approved_by: str | None) -> int:
        permissions = stat.S_IMODE(opened.mode) & 0o777
        if not operation.replace:
            created = gate.open(
                subject, destination, "create", permissions=permissions, approved_by=approved_by
            )
            try:
                count = _copy_content(opened.fd, created.fd)
                os.fchmod(created.fd, permissions)
            except BaseException:
                # What this call has just made is not left behind in part, if it is still there.
                if os.path.samestat(os.lstat(created.path_bytes), os.fstat(created.fd)):
                    os.unlink(created.path_bytes)
                raise
            finally:
                created.close()
            return count
        replacement = gate.replace(
            subject, destination, permissions=permissions, approved_by=approved_by
        )
        try:
            count = _copy_content(opened.fd, replacement.fd)
            os.fchmod(replacement.fd, permissions)
        except BaseException:
            replacement.abort()
            raise
        replacement.commit()
        return count

    try:
        access = "write" if operation.replace else "create"
        return await authority.acquire("filesystem", access, copy, in_thread=True)
    finally:
        opened.close()


def _copy_content(source: int, destination: int) -> int:
    copied = 0
    while True:
        try:
            count = os.copy_file_range(source, destination, _CHUNK << 6)
        except OSError as error:
            # Not between these two file systems, or not for this one's files.
            if error.errno not in {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}:
                raise
            count = os.sendfile(destination, source, None, _CHUNK << 6)
        if count == 0:
            return copied
        copied += count


@executor(MoveFile, decides="itself")
async def move_file(operation: MoveFile, authority: Authority) -> None:
    """Rename, or copy and delete where source and destination are on two file systems."""
    source, destination = plain(operation.source), plain(operation.destination)
    try:
        await authority.acquire(
            "filesystem",
            "delete",
            lambda approved_by: authority.gate.rename(
                authority.subject,
                source,
                destination,
                replace=operation.replace,
                approved_by=approved_by,
            ),
            in_thread=True,
        )
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        await _copy(source, destination, operation, authority)
        await _unlink(source, authority)


@executor(StatFile, decides="itself")
async def stat_file(operation: StatFile, authority: Authority) -> FileStat:
    """Look at the object that was resolved."""
    opened = await open_path(operation.path, authority, follow=operation.follow)
    try:
        found = os.fstat(opened.fd)
    finally:
        opened.close()
    return FileStat(
        os.fsdecode(opened.path_bytes),
        kind_of(found.st_mode),
        found.st_size,
        stat.S_IMODE(found.st_mode),
        found.st_mtime,
        found.st_atime,
        found.st_ctime,
        found.st_uid,
        found.st_gid,
        found.st_nlink,
        found.st_dev,
        found.st_ino,
    )


async def open_path(path: PathLike, authority: Authority, *, follow: bool = True) -> OpenedFile:
    """Return a descriptor that only names an object, after deciding on its metadata."""
    name = plain(path)
    return await authority.acquire(
        "filesystem",
        "metadata",
        lambda approved_by: authority.gate.open_path(
            authority.subject, name, follow=follow, approved_by=approved_by
        ),
    )


async def open_directory(path: str | bytes, authority: Authority) -> OpenedFile:
    """Return a directory that may be listed."""
    return await authority.acquire(
        "filesystem",
        "list",
        lambda approved_by: authority.gate.open_directory(
            authority.subject, path, approved_by=approved_by
        ),
    )


@executor(WatchPath, decides="itself")
async def watch_path(operation: WatchPath, authority: Authority) -> Watch:
    """Watch the very object that was checked."""
    path = plain(operation.path)

    def opener() -> Callable[[], OpenedFile]:
        if os.path.isdir(path):
            return lambda: authority.gate.open_directory(authority.subject, path)
        return lambda: authority.gate.open_path(authority.subject, path)

    if os.path.isdir(path):
        opened = await open_directory(path, authority)
    else:
        opened = await open_path(path, authority)
    try:
        return Watch(authority, opened, opener())
    finally:
        opened.close()


@executor(MakeDirectory, decides="itself")
async def make_directory(operation: MakeDirectory, authority: Authority) -> None:
    """Make the directory, and with `parents` those above it from the outermost."""
    path = plain(operation.path)

    async def make(each: str | bytes) -> None:
        await authority.acquire(
            "filesystem",
            "create",
            lambda approved_by: authority.gate.make_directory(
                authority.subject, each, permissions=operation.mode_bits, approved_by=approved_by
            ),
            in_thread=True,
        )

    if not operation.parents:
        await make(path)
        return
    missing = []
    each: str | bytes = os.path.abspath(path)
    while not os.path.isdir(each):
        missing.append(each)
        each = os.path.dirname(each)
    for each in reversed(missing):
        try:
            await make(each)
        except FileExistsError:
            if not os.path.isdir(each):
                raise
    if not missing:
        # Nothing to make is an access all the same, and its refusal must not depend on the disk.
        try:
            await make(path)
        except FileExistsError:
            return


@executor(ListDirectory, decides="itself")
async def list_directory(operation: ListDirectory, authority: Authority) -> tuple[Entry, ...]:
    """List the directory that was checked, in a thread."""
    opened = await open_directory(plain(operation.path), authority)
    try:
        return await asyncio.to_thread(scan, opened)
    finally:
        opened.close()


@executor(WalkDirectory, decides="itself")
async def walk_directory(operation: WalkDirectory, authority: Authority) -> Walk:
    """Check the beginning at once; the rest is checked as the walk gets there."""
    opened = await open_directory(plain(operation.path), authority)
    return Walk(authority, opened, skip_denied=operation.skip_denied)


@executor(RemoveDirectory, decides="itself")
async def remove_directory(operation: RemoveDirectory, authority: Authority) -> int:
    """Remove from the leaves up, every removal decided by itself."""
    path = plain(operation.path)

    async def remove(each: str | bytes) -> None:
        await authority.acquire(
            "filesystem",
            "delete",
            lambda approved_by: authority.gate.remove_directory(
                authority.subject, each, approved_by=approved_by
            ),
            in_thread=True,
        )

    if not operation.recursive:
        await remove(path)
        return 1
    removed = 0
    directories: list[str | bytes] = []
    async for entry in Walk(authority, await open_directory(path, authority), skip_denied=False):
        if entry.kind == "directory":
            directories.append(entry.path)
        else:
            await _unlink(entry.path, authority)
            removed += 1
    for directory in (*reversed(directories), path):
        await remove(directory)
        removed += 1
    return removed
