"""What is known about files."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Entry", "FileKind", "FileStat"]

FileKind: TypeAlias = Literal["file", "directory", "link", "other"]


def kind_of(mode: int) -> FileKind:
    """Return the kind that the mode of a file says."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a directory.

    Attributes:
        path: Absolute path, every link above it resolved; names in other encodings are text as
            `os.fsdecode` makes it.
        kind: Of the entry itself, links not followed.
        inode: Its inode number.
    """

    path: str
    kind: FileKind
    inode: int

    @property
    def name(self) -> str:
        """The last segment of the path."""
        return os.path.basename(self.path)


@dataclass(frozen=True, slots=True)
class FileStat:
    """Metadata of a file.

    Attributes:
        path: Absolute path of the object, links resolved.
        kind: What it is.
        size: In bytes.
        mode_bits: Permission bits.
        modified, accessed, changed: UTC seconds.
        owner, group: Numeric ids.
        links: Number of names.
        device, inode: What identifies it.
    """

    path: str
    kind: FileKind
    size: int
    mode_bits: int
    modified: float
    accessed: float
    changed: float
    owner: int
    group: int
    links: int
    device: int
    inode: int
