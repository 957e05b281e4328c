"""What deployments, namespaces and hosts use, and the most that they may."""

from __future__ import annotations

from airssys.wasm.quotas.ceilings import Ceilings, HostCeilings
from airssys.wasm.quotas.ledger import Ledger
from airssys.wasm.quotas.reports import LimitNotice
from airssys.wasm.quotas.usage import Usage

__all__ = ["Ceilings", "HostCeilings", "Ledger", "LimitNotice", "Usage"]
