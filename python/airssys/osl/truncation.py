"""Going on with an audit log of which something is gone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from airssys.errors import AirsSysError
from airssys.osl._native import AuditLog, typed
from airssys.osl.log_key import signing_key

if TYPE_CHECKING:
    import os

__all__ = ["MISSING", "acknowledge_truncation"]

#: What a log is refused with that is not the one a checkpoint was signed for.
MISSING: Final = frozenset({"audit-truncated", "audit-checkpoint"})


def acknowledge_truncation(
    directory: str | os.PathLike[str],
    *,
    who: str,
    why: str,
    checkpoint: bytes | None = None,
) -> bytes | None:
    """Record in a log that nobody has open that records of it are gone, so that it goes on.

    The numbers of what is gone are not given again. A log of which nothing is missing stays as it
    is.

    Args:
        directory: Directory of the log; made when it is gone.
        who: Who takes note.
        why: What is known about it.
        checkpoint: The newest checkpoint kept elsewhere.

    Returns:
        A checkpoint signed behind that record; `None` where nothing is missing.

    Raises:
        OslError: The log is in use (`audit-locked`), damaged (`audit-corrupt`), or the checkpoint
            is none (`audit-checkpoint`).
    """
    path = Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    key = signing_key(path.with_name(path.name + ".key"))
    try:
        try:
            AuditLog(path, key=key, checkpoint=checkpoint).close()
        except AirsSysError as error:
            if error.code not in MISSING:
                raise
        else:
            return None
        log = AuditLog(path, key=key, checkpoint=checkpoint, acknowledge_truncation=True)
        try:
            said = f"by {who}: {why}" if why else f"by {who}"
            log.record(None, "audit.acknowledged", str(path), "done", detail=said)
            return log.checkpoint()
        finally:
            log.close()
    except AirsSysError as error:
        raise typed(error) from None
