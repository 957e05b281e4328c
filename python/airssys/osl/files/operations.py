"""What can be done to files and directories."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from airssys.osl.operation import Operation, Permission, operation

if TYPE_CHECKING:
    from airssys.osl.files.records import Entry, FileStat  # noqa: F401 - in the types of outputs
    from airssys.osl.files.walk import Walk  # noqa: F401 - likewise
    from airssys.osl.files.watch import Watch  # noqa: F401 - likewise

__all__ = [
    "CopyFile",
    "DeleteFile",
    "ListDirectory",
    "MakeDirectory",
    "MoveFile",
    "PathLike",
    "ReadFile",
    "RemoveDirectory",
    "StatFile",
    "WalkDirectory",
    "WatchPath",
    "WriteFile",
    "WriteMode",
]

#: A path; text stands for bytes as `os.fsencode` does, so that names in any encoding have one.
PathLike: TypeAlias = "str | bytes | os.PathLike[str]"
#: `overwrite` and `append` make the file when it is missing; `create` needs it to be missing;
#: `replace` writes a new file beside and renames it over the old one: readers see either whole.
WriteMode: TypeAlias = Literal["overwrite", "append", "replace", "create"]

_MEBIBYTE = 1 << 20


def _files(path: PathLike, *accesses: str) -> tuple[Permission, ...]:
    target = os.path.abspath(os.fsdecode(path))
    return tuple(Permission("filesystem", access, target) for access in accesses)


@operation("file.read")
@dataclass(frozen=True, slots=True)
class ReadFile(Operation[bytes]):
    """Read a regular file.

    Attributes:
        path: The file.
        offset: First byte to read.
        length: Bytes to read at most; `None` for all.
        limit: Bytes above which the read is refused, when no length is given.
    """

    path: PathLike
    offset: int = 0
    length: int | None = None
    limit: int = 256 * _MEBIBYTE

    def permissions(self) -> tuple[Permission, ...]:
        """Read the file."""
        return _files(self.path, "read")


@operation("file.write")
@dataclass(frozen=True, slots=True)
class WriteFile(Operation[int]):
    """Write a regular file; the output is the number of bytes written.

    Attributes:
        path: The file.
        data: The bytes.
        mode: See `WriteMode`.
        mode_bits: Permission bits of a new file, before the umask.
    """

    path: PathLike
    data: bytes | bytearray | memoryview
    mode: WriteMode = "overwrite"
    mode_bits: int = 0o666

    def permissions(self) -> tuple[Permission, ...]:
        """Write the file, and create it where it is missing."""
        if self.mode == "create":
            return _files(self.path, "create")
        if os.path.lexists(self.path):
            return _files(self.path, "write")
        return _files(self.path, "write", "create")


@operation("file.delete")
@dataclass(frozen=True, slots=True)
class DeleteFile(Operation[None]):
    """Remove a file or a symbolic link, not what the link points to."""

    path: PathLike

    def permissions(self) -> tuple[Permission, ...]:
        """Delete the file."""
        return _files(self.path, "delete")


@operation("file.copy")
@dataclass(frozen=True, slots=True)
class CopyFile(Operation[int]):
    """Copy content and permission bits; the output is the number of bytes.

    The destination appears whole or not at all.

    Attributes:
        source: A regular file.
        destination: Path of the copy, not of a directory to put it in.
        replace: Whether an existing destination is replaced; otherwise that is `FileExistsError`.
    """

    source: PathLike
    destination: PathLike
    replace: bool = False

    def permissions(self) -> tuple[Permission, ...]:
        """Read the source, write or create the destination."""
        access = "write" if self.replace and os.path.lexists(self.destination) else "create"
        return _files(self.source, "read") + _files(self.destination, access)


@operation("file.move")
@dataclass(frozen=True, slots=True)
class MoveFile(Operation[None]):
    """Rename a file or directory; across file systems files are copied and deleted.

    Attributes:
        source: What to move.
        destination: Its new path, not of a directory to put it in.
        replace: Whether an existing destination is replaced; otherwise that is `FileExistsError`.
    """

    source: PathLike
    destination: PathLike
    replace: bool = False

    def permissions(self) -> tuple[Permission, ...]:
        """Read and delete the source, create and write the destination.

        Under its new name the content falls under other rules, so moving it takes what copying
        and deleting would.
        """
        return _files(self.source, "read", "delete") + _files(self.destination, "create", "write")


@operation("file.stat")
@dataclass(frozen=True, slots=True)
class StatFile(Operation["FileStat"]):
    """Look at the metadata of whatever a path names.

    Attributes:
        path: The path.
        follow: Whether a symbolic link at the end is followed.
    """

    path: PathLike
    follow: bool = True

    def permissions(self) -> tuple[Permission, ...]:
        """See the metadata."""
        return _files(self.path, "metadata")


@operation("file.watch")
@dataclass(frozen=True, slots=True)
class WatchPath(Operation["Watch"]):
    """Watch a file, or the entries of a directory, for changes."""

    path: PathLike

    def permissions(self) -> tuple[Permission, ...]:
        """List the directory, or see the metadata of the file."""
        return _files(self.path, "list" if os.path.isdir(self.path) else "metadata")


@operation("directory.create")
@dataclass(frozen=True, slots=True)
class MakeDirectory(Operation[None]):
    """Make a directory.

    Attributes:
        path: The directory.
        parents: Make missing parents too, each decided by itself, and accept an existing one.
        mode_bits: Permission bits, before the umask.
    """

    path: PathLike
    parents: bool = False
    mode_bits: int = 0o777

    def permissions(self) -> tuple[Permission, ...]:
        """Create the directory."""
        return _files(self.path, "create")


@operation("directory.list")
@dataclass(frozen=True, slots=True)
class ListDirectory(Operation["tuple[Entry, ...]"]):
    """List the entries of a directory, sorted by name."""

    path: PathLike

    def permissions(self) -> tuple[Permission, ...]:
        """List the directory."""
        return _files(self.path, "list")


@operation("directory.remove")
@dataclass(frozen=True, slots=True)
class RemoveDirectory(Operation[int]):
    """Remove a directory; the output is the number of objects removed.

    Attributes:
        path: The directory.
        recursive: Remove what is in it too, each entry decided by itself; the first refusal stops.
    """

    path: PathLike
    recursive: bool = False

    def permissions(self) -> tuple[Permission, ...]:
        """Delete the directory, and list it to find what is in it."""
        return _files(self.path, *(("delete", "list") if self.recursive else ("delete",)))


@operation("directory.walk")
@dataclass(frozen=True, slots=True)
class WalkDirectory(Operation["Walk"]):
    """Go through a directory and those below it, each decided by itself, links not followed.

    Attributes:
        path: Where to begin.
        skip_denied: Leave out directories that may not be listed, in place of raising.
    """

    path: PathLike
    skip_denied: bool = False

    def permissions(self) -> tuple[Permission, ...]:
        """List the directory where the walk begins."""
        return _files(self.path, "list")
