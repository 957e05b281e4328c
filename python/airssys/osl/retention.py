"""How long an audit log keeps its records."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from airssys.errors import AirsSysError
from airssys.osl._native import AuditLog, audit_plan_pruning, typed
from airssys.osl.audit_log import need_log
from airssys.osl.errors import OslError
from airssys.osl.regular_file import read_regular

if TYPE_CHECKING:
    import os

__all__ = ["Pruned", "Retention", "plan_pruning", "prune_log"]


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept; the rest goes in whole segments (16 MiB), the oldest first.

    The segment that is written to always stays, so somewhat more is kept than is said here.

    Attributes:
        age: Seconds; segments in which every record is older go.
        size: Bytes; segments go until all together have no more.
    """

    age: float | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        """Refuse what would keep nothing, or anything."""
        if self.age is None and self.size is None:
            raise OslError(
                "a retention without `age` and `size` keeps everything; give at least one",
                code="invalid-retention",
            )
        for name in ("age", "size"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OslError(
                    f"a retention cannot keep {value!r} of {name}; expected more than 0",
                    code="invalid-retention",
                )

    def bounds(self) -> tuple[int | None, float | None]:
        """Return what the native log takes: bytes, and UTC seconds."""
        return self.size, None if self.age is None else time.time() - self.age


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed from a log.

    Attributes:
        segments: Number of files.
        bytes: Their size.
        first, through: Numbers of the first and the last record.
    """

    segments: int
    bytes: int
    first: int
    through: int

    @classmethod
    def of(cls, found: dict[str, int] | None) -> Self | None:
        """Return the native answer as a record."""
        return None if found is None else cls(**found)


def prune(log: AuditLog, retention: Retention) -> Pruned | None:
    """Remove from a log that is open here what a retention does not keep."""
    size, since = retention.bounds()
    try:
        return Pruned.of(log.prune(bytes=size, since=since))
    except AirsSysError as error:
        raise typed(error) from None


def plan_pruning(directory: str | os.PathLike[str], retention: Retention) -> Pruned | None:
    """Say what `prune_log` would remove; the log may be in use.

    Raises:
        OslError: There is no log, or what would go is damaged.
    """
    need_log(directory)
    size, since = retention.bounds()
    try:
        return Pruned.of(audit_plan_pruning(directory, bytes=size, since=since))
    except AirsSysError as error:
        raise typed(error) from None


def prune_log(
    directory: str | os.PathLike[str],
    retention: Retention,
    *,
    key: str | os.PathLike[str] | None = None,
) -> Pruned | None:
    """Remove from a log that nobody has open what a retention does not keep.

    What went is recorded under a signed checkpoint before it goes, so the rest still verifies. A
    program that has its log open prunes it itself, by `OSL(retention=...)` or `OSL.prune_log()`.

    Args:
        directory: Directory of the log.
        retention: What stays.
        key: File with the signing key; by default the one beside the log.

    Returns:
        What was removed; `None` when everything is kept.

    Raises:
        OslError: There is no log or no key, the log is in use (`audit-locked`), or what would go is
            damaged (`audit-corrupt`): damage is evidence and stays.
    """
    directory = need_log(directory)
    path = Path(key) if key is not None else directory.with_name(directory.name + ".key")
    if not path.is_file():
        raise OslError(
            f"there is no signing key at {str(path)!r}, without which the pruning could not be "
            "told from theft; name it with --key",
            code="audit-key",
            path=str(path),
        )
    try:
        log = AuditLog(directory, key=read_regular(path, 1 << 10))
    except AirsSysError as error:
        raise typed(error) from None
    try:
        return prune(log, retention)
    finally:
        log.close()
