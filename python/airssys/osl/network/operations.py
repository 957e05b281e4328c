"""What can be done on the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airssys.osl.operation import Operation, Permission, operation

if TYPE_CHECKING:
    import ssl

    from airssys.osl.network.connection import (  # noqa: F401 - named in the types of outputs
        Connection,
        Datagrams,
        Listener,
    )

__all__ = ["Connect", "ConnectUnix", "Listen", "ListenUnix", "OpenSocket"]


def endpoint(host: str, port: int) -> str:
    """Return the notation that rules use, `host:port` or `[address]:port`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@operation("network.connect")
@dataclass(frozen=True, slots=True)
class Connect(Operation["Connection"]):
    """Connect to a host.

    Attributes:
        host: Name or IP address.
        port: Port.
        transport: `tcp`, or `udp` for a socket that exchanges datagrams with this peer only.
        tls: `True` for TLS with the system's trust, or a context of one's own; tcp only.
        server_name: Name the peer must prove in TLS, by default the host.
    """

    host: str
    port: int
    transport: Literal["tcp", "udp"] = "tcp"
    tls: bool | ssl.SSLContext = False
    server_name: str | None = None

    def permissions(self) -> tuple[Permission, ...]:
        """Connect; names need to be resolved first, which is decided by itself."""
        return (Permission("network", "connect", endpoint(self.host, self.port)),)


@operation("network.connect_unix")
@dataclass(frozen=True, slots=True)
class ConnectUnix(Operation["Connection"]):
    """Connect to a Unix socket that has a path; abstract ones are refused."""

    path: str

    def permissions(self) -> tuple[Permission, ...]:
        """Connect to the path."""
        return (Permission("network", "connect", f"unix:{self.path}"),)


@operation("network.listen")
@dataclass(frozen=True, slots=True)
class Listen(Operation["Listener"]):
    """Accept TCP connections.

    Attributes:
        host: IP address of this machine to listen on.
        port: Port; 0 for any that is free.
        backlog: Connections the kernel keeps until they are accepted.
        tls: Context with a certificate, for TLS.
    """

    host: str
    port: int
    backlog: int = 100
    tls: ssl.SSLContext | None = None

    def permissions(self) -> tuple[Permission, ...]:
        """Listen on the address."""
        return (Permission("network", "listen", endpoint(self.host, self.port)),)


@operation("network.listen_unix")
@dataclass(frozen=True, slots=True)
class ListenUnix(Operation["Listener"]):
    """Accept connections at a path, which must be free; closing removes it."""

    path: str
    backlog: int = 100

    def permissions(self) -> tuple[Permission, ...]:
        """Listen at the path."""
        return (Permission("network", "listen", f"unix:{self.path}"),)


@operation("network.socket")
@dataclass(frozen=True, slots=True)
class OpenSocket(Operation["Datagrams"]):
    """Open a UDP socket for datagrams from and to many peers.

    Attributes:
        host: IP address of this machine to receive on.
        port: Port; 0 for any that is free.
    """

    host: str
    port: int = 0

    def permissions(self) -> tuple[Permission, ...]:
        """Listen on the address; each destination is decided when something is sent there."""
        return (Permission("network", "listen", endpoint(self.host, self.port)),)
