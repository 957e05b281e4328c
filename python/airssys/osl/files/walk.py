"""Going through a tree of directories that others may change meanwhile."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING, Self

from airssys.osl.errors import AccessDenied
from airssys.osl.files.records import Entry, kind_of

if TYPE_CHECKING:
    from airssys.osl._native import OpenedFile
    from airssys.osl.authority import Authority

__all__ = ["Walk"]


def scan(opened: OpenedFile) -> tuple[Entry, ...]:
    """Return the entries of an opened directory, sorted by name."""
    base = os.fsdecode(opened.path_bytes)
    found = []
    with os.scandir(opened.fd) as entries:
        for entry in entries:
            # The type in the entry saves a look at the inode, where the file system gives it.
            if entry.is_dir(follow_symlinks=False):
                mode = stat.S_IFDIR
            elif entry.is_file(follow_symlinks=False):
                mode = stat.S_IFREG
            else:
                mode = stat.S_IFLNK if entry.is_symlink() else 0
            found.append(Entry(os.path.join(base, entry.name), kind_of(mode), entry.inode()))
    return tuple(sorted(found, key=lambda entry: entry.path))


class Walk:
    """An async iterator over the entries below a directory, parents before what is in them.

    A directory that was moved or replaced between being listed and being entered is left out: only
    what is found where it was checked is gone into. Stopping early needs no closing.
    """

    def __init__(self, authority: Authority, opened: OpenedFile, *, skip_denied: bool) -> None:
        self._authority = authority
        self._skip_denied = skip_denied
        self._first: OpenedFile | None = opened
        self._entries: list[Entry] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Entry:
        """Return the next entry.

        Raises:
            AccessDenied: A directory may not be listed, and denied ones are not skipped.
        """
        if self._first is not None:
            first, self._first = self._first, None
            self._entries = await self._scan(first)
        if not self._entries:
            raise StopAsyncIteration
        entry = self._entries.pop()
        if entry.kind == "directory":
            self._entries.extend(await self._enter(entry))
        return entry

    async def _scan(self, opened: OpenedFile) -> list[Entry]:
        try:
            return list(reversed(await asyncio.to_thread(scan, opened)))
        finally:
            opened.close()

    async def _enter(self, entry: Entry) -> list[Entry]:
        authority = self._authority
        path = os.fsencode(entry.path)
        try:
            opened = await authority.acquire(
                "filesystem",
                "list",
                lambda approved_by: authority.gate.open_directory(
                    authority.subject, path, approved_by=approved_by
                ),
            )
        except AccessDenied:
            if self._skip_denied:
                return []
            raise
        except (FileNotFoundError, NotADirectoryError):
            return []
        if opened.inode != entry.inode or opened.path_bytes != path:
            opened.close()
            return []
        return await self._scan(opened)
