"""What can be wrong with a backup."""

from __future__ import annotations

from airssys.wasm.host_errors import HostError

__all__ = ["BackupUnusable"]


class BackupUnusable(HostError):
    """The file is no backup, not a whole one, or not what was written; nothing was restored."""

    default_code = "backup-unusable"
