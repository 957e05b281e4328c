"""The form of a backup: a tar file that begins with a list of what is in it, with digests.

The list comes first, so that a reader knows what has to follow and refuses everything else: a file
that ends early, bytes that are not those that were written, names that lead anywhere. The digest of
the list itself comes last.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final

import msgspec

from airssys.wasm.backup.errors import BackupUnusable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BackupInfo", "Member", "members_of", "unpack", "write"]

_FORMAT: Final = "airssys-backup"
_VERSION: Final = 1
_LIST: Final = "backup.json"
_END: Final = "backup.end"
#: Bytes of the largest list that is read.
_MOST_LIST: Final = 256 << 20
_CHUNK: Final = 1 << 20


class Member(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One file.

    Attributes:
        path: Where it belongs in the state directory.
        size: Bytes.
        sha256: Its digest, in hexadecimal.
    """

    path: str
    size: int
    sha256: str


class BackupInfo(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a backup says of itself.

    Attributes:
        format: What kind of file it is.
        version: Of the form.
        airssys: The version of AirsSys that wrote it.
        made: When, in UTC, ISO 8601.
        members: What is in it, in this order.
    """

    format: str
    version: int
    airssys: str
    made: str
    members: tuple[Member, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(each.size for each in self.members)


def members_of(folder: Path) -> tuple[Member, ...]:
    """Return the files below a folder, by path."""
    found = sorted(each for each in folder.rglob("*") if each.is_file())
    return tuple(
        Member(
            path=each.relative_to(folder).as_posix(),
            size=each.stat().st_size,
            sha256=_digest(each),
        )
        for each in found
    )


def write(folder: Path, file: IO[bytes], *, airssys: str, made: str) -> BackupInfo:
    """Write the files below a folder, which nobody changes meanwhile, as a backup.

    Args:
        folder: What becomes the state directory.
        file: Takes the bytes in order; it need not be seekable.
        airssys: The version of AirsSys.
        made: When, in ISO 8601.
    """
    info = BackupInfo(
        format=_FORMAT, version=_VERSION, airssys=airssys, made=made, members=members_of(folder)
    )
    listed = msgspec.json.encode(info)
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, _LIST, len(listed), io.BytesIO(listed))
        for member in info.members:
            with (folder / member.path).open("rb") as content:
                _add(archive, member.path, member.size, content)
        end = hashlib.sha256(listed).hexdigest().encode()
        _add(archive, _END, len(end), io.BytesIO(end))
    return info


def unpack(
    file: IO[bytes], folder: Path, *, name: str, progress: Callable[[int, int], None]
) -> BackupInfo:
    """Write what a backup holds below a folder, and verify all of it on the way.

    Args:
        file: The backup, from its beginning; it need not be seekable.
        folder: An empty folder.
        name: What the backup is called in errors.
        progress: Told how many bytes of how many have been read.

    Raises:
        BackupUnusable: It is no backup, ends early, or holds something else than it says. Some
            files may have been written.
        OSError: The system refuses to write.
    """
    try:
        with tarfile.open(fileobj=file, mode="r|") as archive:
            listed = _listed(archive, name)
            info = _read(listed, name)
            done = 0
            for member in info.members:
                _unpack(archive, member, folder, name)
                done += member.size
                progress(done, info.size)
            end = archive.next()
            found = None if end is None or end.name != _END else archive.extractfile(end)
            if found is None:
                raise _unusable(name, "it has something else where it should end")
            if found.read(64) != hashlib.sha256(listed).hexdigest().encode():
                raise _unusable(name, "its list is not what was written")
            return info
    except tarfile.ReadError as error:
        raise _unusable(name, f"it cannot be read as one ({error})") from error
    except EOFError as error:
        raise _unusable(name, "it ends early") from error


def _listed(archive: tarfile.TarFile, name: str) -> bytes:
    entry = archive.next()
    if entry is None or entry.name != _LIST or entry.size > _MOST_LIST:
        raise _unusable(name, "it does not begin with the list of a backup")
    read = archive.extractfile(entry)
    return b"" if read is None else read.read()


def _read(text: bytes, name: str) -> BackupInfo:
    try:
        info = msgspec.json.decode(text, type=BackupInfo)
    except msgspec.MsgspecError as error:
        raise _unusable(name, f"its list cannot be read ({error})") from None
    if info.format != _FORMAT or info.version > _VERSION:
        raise _unusable(name, f"it is of the form {info.format} {info.version}, not {_VERSION}")
    paths = [member.path for member in info.members]
    for path in paths:
        if not _is_plain(path):
            raise _unusable(name, f"it names a file {path!r}")
    if len(set(paths)) != len(paths):
        raise _unusable(name, "it lists a file twice")
    return info


def _is_plain(path: str) -> bool:
    """Return whether a path stays below the folder that it is written to."""
    parts = PurePosixPath(path).parts
    odd = "\0" in path or "\\" in path or path.startswith("/")
    return bool(parts) and not odd and ".." not in parts and PurePosixPath(path).as_posix() == path


def _unpack(archive: tarfile.TarFile, member: Member, folder: Path, name: str) -> None:
    entry = archive.next()
    if entry is None:
        raise _unusable(name, f"it ends before '{member.path}'")
    if entry.name != member.path or not entry.isreg() or entry.size != member.size:
        raise _unusable(name, f"it has '{entry.name}' in the place of '{member.path}'")
    read = archive.extractfile(entry)
    if read is None:
        raise _unusable(name, f"'{member.path}' has no content")
    target = folder / member.path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found, left = hashlib.sha256(), member.size
    with target.open("xb") as file:
        target.chmod(0o400 if member.path.startswith("blobs/") else 0o600)
        while left:
            chunk = read.read(min(_CHUNK, left))
            if not chunk:
                raise _unusable(name, f"it ends in '{member.path}'")
            found.update(chunk)
            file.write(chunk)
            left -= len(chunk)
    if found.hexdigest() != member.sha256:
        raise _unusable(name, f"'{member.path}' is not what was written: its digest differs")


def _add(archive: tarfile.TarFile, path: str, size: int, content: IO[bytes]) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = size, 0o600
    archive.addfile(entry, content)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unusable(name: str, why: str) -> BackupUnusable:
    return BackupUnusable(
        f"{name} is no whole backup of AirsSys: {why}",
        hint="name the file that `airssys backup` wrote, or take it from where it was kept again",
        file=name,
    )
