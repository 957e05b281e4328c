"""Tells a developer what a component that was refused would have to ask for."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING

from airssys.osl._native import AuditReader
from airssys.osl.audit_log import Record
from airssys.wasm.security.capability_text import (
    Use,
    asking_for,
    capability_text,
    path_in_component,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airssys.wasm.security.mounts import Mount

__all__ = ["DenialHints", "hint_for"]

_log = logging.getLogger("airssys.wasm")

_BATCH = 1000
# Seconds until the end of a host is noticed.
_WAIT = 0.2
# Different refusals that are told; a component that tries everything is told enough by then.
_MOST = 1000


class DenialHints:
    """Follows the log of a development host on a thread of its own.

    Args:
        log: Directory of the audit log.
        mounts_of: The mounts of a revision, by deployment and number.
    """

    def __init__(
        self, log: Path, after: int, mounts_of: Callable[[str, int], Mapping[str, Mount]]
    ) -> None:
        self._mounts_of = mounts_of
        self._told: set[tuple[str, str]] = set()
        self._over = threading.Event()
        self._reader = AuditReader(log, after=after, decision="deny")
        self._thread = threading.Thread(
            target=self._follow, name="airssys-denial-hints", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End; returns when everything recorded so far was told."""
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        try:
            while not self._over.is_set():
                self._tell(self._reader.read(_BATCH, _WAIT))
            self._tell(self._reader.read(_BATCH))
        except Exception:  # noqa: BLE001 - help for developers must not end a host
            _log.exception("refusals are not explained any more")

    def _tell(self, lines: list[bytes]) -> None:
        for line in lines:
            record = json.loads(line)
            if not record.get("guest") or len(self._told) >= _MOST:
                continue
            deployment = record.get("deployment", "")
            mounts = self._mounts_of(deployment, record.get("revision", 0))
            hint = hint_for(Record.parse(line), deployment, mounts)
            if hint is not None and (deployment, hint) not in self._told:
                self._told.add((deployment, hint))
                _log.warning("%s", hint)


def hint_for(record: Record, deployment: str, mounts: Mapping[str, Mount]) -> str | None:
    """Return what would have to be written or granted for a refused access; None for nothing.

    Args:
        record: The refusal.
        deployment: The deployment that was refused.
        mounts: What it sees of the host.
    """
    kind, _, access = record.operation.partition(".")
    refused = f"{deployment} may not {kind} {access} {record.target}"
    match record.rule:
        case "default-deny" | "not-requested":
            use = Use(kind, access, record.target)
            if kind == "filesystem":
                path = path_in_component(record.target, mounts)
                if path is None:
                    return None
                use = use._replace(target=path)
            text = capability_text(asking_for([use])).splitlines()
            if len(text) == 1:
                return None
            return f"{refused}; to ask for it, write in Component.toml: {text[1]}"
        case "not-granted":
            return (
                f"{refused}; it asks for it and is not granted it: "
                f"`airssys grants {deployment}` lists, `airssys grant {deployment} PLACE` grants"
            )
        case "beyond-policy":
            return f"{refused}; it is granted it, but no rule of the host's policy allows it"
        case _:
            return None
