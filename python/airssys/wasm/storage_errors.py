"""What can go wrong with the storage of components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airssys.wasm.host_errors import (
    HostClosed,
    HostError,
    StateDirectoryDamaged,
    StateDirectoryInUse,
    StateDirectoryTooNew,
    StateWriteFailed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["InvalidStorageRequest", "StorageQuotaExceeded", "storage_error"]


class InvalidStorageRequest(HostError, ValueError):
    """A key, prefix, time or operation is none that storage takes."""

    default_code = "invalid-storage-request"


class StorageQuotaExceeded(HostError):
    """A write would exceed a bound of its deployment; nothing of it took effect.

    Attributes:
        limit: `storage`, `storage_keys`, `storage_key`, `storage_value` or `batch_operations`.
        configured: The bound: bytes or a count.
        needed: What the write would have come to.
    """

    default_code = "storage-quota-exceeded"

    def __init__(self, *, limit: str, configured: int, needed: int) -> None:
        if limit == "batch_operations":
            hint = "make several batches"
        elif limit in {"storage_key", "storage_value"}:
            hint = f"write less, or deploy with Limits({limit}=...)"
        else:
            hint = f"delete something, or deploy with Limits({limit}=...)"
        super().__init__(
            f"the limit '{limit}' is {configured}, and this needs {needed}",
            hint=hint,
            limit=limit,
            configured=configured,
            needed=needed,
        )
        self.limit = limit
        self.configured = configured
        self.needed = needed


#: Class, message and next step by what the native core reports.
_ERRORS: Final[dict[str, tuple[type[HostError], str, str]]] = {
    "invalid": (InvalidStorageRequest, "{text}", ""),
    "damaged": (
        StateDirectoryDamaged,
        "{path} is damaged ({reason})",
        "restore it from a backup, or move it away to begin with an empty storage",
    ),
    "in-use": (
        StateDirectoryInUse,
        "{path} is in use by another process or host",
        "close that host first, or name another file",
    ),
    "too-new": (
        StateDirectoryTooNew,
        "{path} was written in schema {found} by a newer AirsSys; this one knows {known}",
        "use that version or a newer one",
    ),
    "full": (
        StateWriteFailed,
        "cannot write {path}: {reason}",
        "nothing was changed; free some space and try again",
    ),
    "failed": (
        StateWriteFailed,
        "{path} failed: {reason}",
        "what was acknowledged is kept; see the system's log for the device",
    ),
    "closed": (HostClosed, "the storage is closed", "open its host again"),
}


def storage_error(kind: str, text: str, context: Mapping[str, Any]) -> HostError:
    """Return the exception for what the native core reports.

    Args:
        kind: What happened, in the core's words.
        text: What the core says about it.
        context: The facts by name.
    """
    if kind == "exceeded":
        return StorageQuotaExceeded(**context)
    made, summary, hint = _ERRORS[kind]
    return made(summary.format(text=text, **context), hint=hint, **context)
