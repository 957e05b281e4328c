"""A host in another process: the client of `airssys serve`."""

from __future__ import annotations

from airssys.wasm.remote.actor import BlockingConnectedActor, ConnectedActor
from airssys.wasm.remote.deployment import BlockingConnectedDeployment, ConnectedDeployment
from airssys.wasm.remote.host import ConnectedHost
from airssys.wasm.remote.host_blocking import BlockingConnectedHost

__all__ = [
    "BlockingConnectedActor",
    "BlockingConnectedDeployment",
    "BlockingConnectedHost",
    "ConnectedActor",
    "ConnectedDeployment",
    "ConnectedHost",
]
