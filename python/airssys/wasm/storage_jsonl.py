"""A namespace as JSON lines: one entry a line, readable, in any order.

`{"key": "users/7", "value": "text"}`; `"base64"` instead of `"value"` for bytes that are no text,
and `"expires"` (ISO 8601) for what ends by itself.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from airssys.wasm.storage_errors import InvalidStorageRequest
from airssys.wasm.storage_records import Put

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airssys.wasm.storage_records import BatchPart, StorageEntry

__all__ = ["export_jsonl", "import_jsonl"]

T_co = TypeVar("T_co", covariant=True)

#: Lines and bytes that are set in one batch.
_BATCH_LINES = 200
_BATCH_BYTES = 1 << 20


class _Line(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    key: str
    value: str | None = None
    base64: str | None = None
    expires: dt.datetime | None = None


class _Reply(Protocol[T_co]):
    def wait(self) -> T_co: ...


class Pages(Protocol):
    """What is asked of a namespace, here or at a server."""

    def page(
        self, prefix: str, after: str | None
    ) -> _Reply[tuple[Sequence[StorageEntry], str | None]]:
        """Return some entries, and after which key the next ones come."""
        ...

    def batch(self, parts: list[BatchPart]) -> _Reply[int | None]:
        """Do all of several changes, or none."""
        ...


def export_jsonl(requests: Pages, path: str | os.PathLike[str]) -> int:
    """Write every entry to the file `path`, which is replaced when all is written.

    Returns:
        How many entries were written.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    try:
        with unfinished.open("xb") as file:
            after: str | None = None
            while True:
                entries, after = requests.page("", after).wait()
                file.writelines(msgspec.json.encode(_line(entry)) + b"\n" for entry in entries)
                count += len(entries)
                if after is None:
                    break
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return count


def import_jsonl(requests: Pages, path: str | os.PathLike[str]) -> int:
    """Set every entry of the file `path`; what has expired is left out.

    Returns:
        How many entries were set.

    Raises:
        InvalidStorageRequest: A line is not an entry.
    """
    now = dt.datetime.now(dt.UTC)
    count, size = 0, 0
    parts: list[BatchPart] = []
    with Path(path).open("rb") as file:
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            part = _part(text, f"{path}, line {number}", now)
            if part is None:
                continue
            parts.append(part)
            size += len(part.value)
            if len(parts) >= _BATCH_LINES or size >= _BATCH_BYTES:
                requests.batch(parts).wait()
                count += len(parts)
                parts, size = [], 0
    if parts:
        requests.batch(parts).wait()
    return count + len(parts)


def _line(entry: StorageEntry) -> _Line:
    try:
        return _Line(entry.key, value=entry.value.decode(), expires=entry.expires)
    except UnicodeDecodeError:
        encoded = base64.b64encode(entry.value).decode()
        return _Line(entry.key, base64=encoded, expires=entry.expires)


def _part(text: bytes, place: str, now: dt.datetime) -> Put | None:
    def refused(reason: object) -> InvalidStorageRequest:
        return InvalidStorageRequest(
            f"{place}: {reason}",
            hint='a line is {"key": …, "value": …}, or "base64" instead of "value"',
        )

    try:
        line = msgspec.json.decode(text, type=_Line)
        if (line.value is None) == (line.base64 is None):
            raise refused("needs one of value and base64")
        if line.value is not None:
            value = line.value.encode()
        else:
            value = base64.b64decode(line.base64 or "", validate=True)
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error) as error:
        raise refused(error) from None
    if line.expires is None:
        return Put(line.key, value)
    if line.expires.tzinfo is None:
        raise refused("expires needs a time zone")
    left = (line.expires - now).total_seconds()
    return Put(line.key, value, left) if left > 0 else None
