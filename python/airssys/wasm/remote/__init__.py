"""A host in another process: the client of `airssys serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys._lazy import lazily

if TYPE_CHECKING:
    from airssys.wasm.remote.actor import BlockingConnectedActor, ConnectedActor
    from airssys.wasm.remote.deployment import BlockingConnectedDeployment, ConnectedDeployment
    from airssys.wasm.remote.host import ConnectedHost
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "actor": ("BlockingConnectedActor", "ConnectedActor"),
            "deployment": ("BlockingConnectedDeployment", "ConnectedDeployment"),
            "host": ("ConnectedHost",),
            "host_blocking": ("BlockingConnectedHost",),
        },
    )

__all__ = [
    "BlockingConnectedActor",
    "BlockingConnectedDeployment",
    "BlockingConnectedHost",
    "ConnectedActor",
    "ConnectedDeployment",
    "ConnectedHost",
]
