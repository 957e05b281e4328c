"""What storage takes and gives: entries, parts of a batch, usage, events."""

from __future__ import annotations

import dataclasses
import datetime as dt  # noqa: TC003 - read when decoding
from typing import TYPE_CHECKING, Literal, Self

from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.limits import parse_bytes

if TYPE_CHECKING:
    from airssys.wasm.limits import Limits

__all__ = [
    "BatchPart",
    "Check",
    "Delete",
    "Put",
    "StorageChange",
    "StorageCopy",
    "StorageEntry",
    "StorageEvent",
    "StorageGap",
    "StorageQuota",
    "StorageUsage",
    "milliseconds",
]


@dataclasses.dataclass(frozen=True, slots=True)
class StorageQuota:
    """What one namespace may hold.

    Attributes:
        bytes: Bytes of keys and values together.
        keys: Keys.
        key: Bytes of one key.
        value: Bytes of one value.
    """

    bytes: int
    keys: int
    key: int
    value: int

    @classmethod
    def of(cls, limits: Limits) -> Self:
        """Return the part of a deployment's limits that is about storage."""
        return cls(
            bytes=parse_bytes(limits.storage, name="storage"),
            keys=limits.storage_keys,
            key=limits.storage_key,
            value=parse_bytes(limits.storage_value, name="storage_value"),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class StorageEntry:
    """A value with what belongs to it.

    Attributes:
        key: The key.
        value: The value.
        version: Larger than that of any earlier value in the namespace.
        expires: When it ends; None for one that stays.
    """

    key: str
    value: bytes
    version: int
    expires: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class StorageUsage:
    """What a namespace holds; expired entries are not counted.

    Attributes:
        keys: Keys.
        bytes: Bytes of keys and values.
        quota: What it may hold.
    """

    keys: int
    bytes: int
    quota: StorageQuota


@dataclasses.dataclass(frozen=True, slots=True)
class Put:
    """A part of a batch: set a value.

    Attributes:
        key: The key.
        value: The value.
        time_to_live: Seconds, or None for a value that stays.
    """

    key: str
    value: bytes
    time_to_live: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Delete:
    """A part of a batch: delete a key, if it is there."""

    key: str


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """A part of a batch: do it only if a key has this version, or, for None, no value."""

    key: str
    version: int | None


BatchPart = Put | Delete | Check


@dataclasses.dataclass(frozen=True, slots=True)
class StorageChange:
    """An event: a key changed.

    Attributes:
        key: The key.
        change: What happened; `expired` is told when the entry is swept, up to a second late.
        version: The version that the namespace has since.
    """

    key: str
    change: Literal["set", "deleted", "expired"]
    version: int


@dataclasses.dataclass(frozen=True, slots=True)
class StorageGap:
    """An event: the watcher was too slow, and so many changes were not kept."""

    missed: int


StorageEvent = StorageChange | StorageGap


@dataclasses.dataclass(frozen=True, slots=True)
class StorageCopy:
    """What a copy came to.

    Attributes:
        entries: Entries that were copied, of all namespaces.
        digest: BLAKE3 of what was read back from the copy, which is that of the original.
    """

    entries: int
    digest: str


def milliseconds(seconds: float | None) -> int | None:
    """Return a time to live as storage takes it.

    Raises:
        InvalidSetting: It is not above 0.
    """
    if seconds is None:
        return None
    if not 0 < seconds < 10**12:
        raise InvalidSetting(
            f"a time to live of {seconds} seconds is not possible", hint="name seconds above 0"
        )
    return max(1, round(seconds * 1000))
