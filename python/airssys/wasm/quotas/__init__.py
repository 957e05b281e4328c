"""What deployments, namespaces and hosts use, and the most that they may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys._lazy import lazily

if TYPE_CHECKING:
    from airssys.wasm.quotas.ceilings import Ceilings, HostCeilings
    from airssys.wasm.quotas.ledger import Ledger
    from airssys.wasm.quotas.reports import LimitNotice
    from airssys.wasm.quotas.usage import Usage
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "ceilings": ("Ceilings", "HostCeilings"),
            "ledger": ("Ledger",),
            "reports": ("LimitNotice",),
            "usage": ("Usage",),
        },
    )

__all__ = ["Ceilings", "HostCeilings", "Ledger", "LimitNotice", "Usage"]
