"""How far the audit log of a host had come, kept in the database of its state directory."""

from __future__ import annotations

import contextlib
import logging
import weakref
from typing import TYPE_CHECKING, Final

from airssys.osl.errors import AuditTruncated, OslError
from airssys.osl.truncation import MISSING, acknowledge_truncation
from airssys.wasm.background import Background
from airssys.wasm.state_directory import StateDirectory, open_registry

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from airssys.osl import OSL

__all__ = ["CheckpointKeeper", "acknowledge", "checkpoint_of", "explained_gap"]

_log: Final = logging.getLogger("airssys.wasm")

# Seconds between two checkpoints of a log that grows: what somebody could cut off unseen after the
# host was killed.
_INTERVAL: Final = 600.0


class CheckpointKeeper(Background):
    """Has a log sign how far it came: now, and from time to time while it grows.

    It holds no system: one that is forgotten without being closed ends its keeper.

    Args:
        osl: Whose log it is; what is signed goes to its `on_checkpoint`.
        interval: Seconds between two looks.

    Raises:
        OslError: The disk failed.
    """

    def __init__(self, osl: OSL, interval: float = _INTERVAL) -> None:
        osl.checkpoint()
        looked = weakref.ref(osl), osl.audit.sequence, interval
        super().__init__("airssys-audit-checkpoints", _keep, *looked)


def _keep(osl_of: weakref.ref[OSL], signed: int, interval: float, over: threading.Event) -> None:
    while not over.wait(interval):
        osl = osl_of()
        if osl is None:
            return
        try:
            if osl.audit.sequence != signed:
                osl.checkpoint()
                signed = osl.audit.sequence
        except Exception:  # noqa: BLE001 - reported, and tried again: it must not stay unnoticed
            _log.exception("no checkpoint of the audit log could be signed and kept")
        del osl


def explained_gap(error: OslError, state: Path) -> OslError:
    """Return why a host does not start, with the next step where its log is not the signed one."""
    if error.code not in MISSING:
        return error
    return AuditTruncated(
        f"the audit log in {state / 'audit'} is not the one of which {state / 'airssys.db'} has a "
        f"signed checkpoint: {error.message}; bring `audit` and `audit.key` back, or go on without "
        f"what is missing, which is recorded: airssys audit acknowledge --state {state} --why …",
        checkpoint=error.context.get("checkpoint"),
        last=error.context.get("last"),
    )


def checkpoint_of(state: Path) -> bytes | None:
    """Return the last checkpoint of a host's log, whether or not the host runs.

    Raises:
        StateDirectoryError: The state directory cannot be read.
    """
    if not (state / "airssys.db").is_file():
        return None
    with contextlib.closing(open_registry(state)) as registry:
        return registry.audit_checkpoint()


def acknowledge(state: Path, *, who: str, why: str) -> bytes | None:
    """Have a host that does not run go on with a log of which something is gone.

    Returns:
        The checkpoint that is in the database from now on; `None` where nothing is missing.

    Raises:
        StateDirectoryError: There is no state directory, or its host runs.
        OslError: As of `acknowledge_truncation`.
    """
    open_registry(state).close()
    with StateDirectory(state) as opened:
        registry = opened.registry
        signed = acknowledge_truncation(
            state / "audit", who=who, why=why, checkpoint=registry.audit_checkpoint()
        )
        if signed is not None:
            registry.record_audit_checkpoint(signed)
    return signed
