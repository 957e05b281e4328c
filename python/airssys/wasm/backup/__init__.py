"""Backup and restore of a state directory, with the keys and the trust in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys._lazy import lazily

if TYPE_CHECKING:
    from airssys.wasm.backup.archive import BackupInfo
    from airssys.wasm.backup.errors import BackupUnusable
    from airssys.wasm.backup.restore import restore
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "archive": ("BackupInfo",),
            "errors": ("BackupUnusable",),
            "restore": ("restore",),
        },
    )

__all__ = ["BackupInfo", "BackupUnusable", "restore"]
