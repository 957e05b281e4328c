"""What deployments ask for, were granted and may do."""

from __future__ import annotations

from airssys.wasm.security.grant import Grant, RequestState
from airssys.wasm.security.mounts import Mount

__all__ = ["Grant", "Mount", "RequestState"]
