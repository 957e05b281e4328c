"""The network: the address that was checked is the address that is connected."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
import stat
from typing import TYPE_CHECKING, Literal, TypeAlias

from airssys.osl.errors import OslError
from airssys.osl.executor import executor
from airssys.osl.network.connection import (
    Connection,
    DatagramConnection,
    Datagrams,
    Listener,
    StreamConnection,
)
from airssys.osl.network.operations import (
    Connect,
    ConnectUnix,
    Listen,
    ListenUnix,
    OpenSocket,
    endpoint,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.osl._native import Decision
    from airssys.osl.authority import Authority
    from airssys.osl.operation import Operation

Transport: TypeAlias = Literal["tcp", "udp"]
Address: TypeAlias = tuple[object, ...]
_TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def _port(port: int) -> int:
    if not 0 <= port <= 65535:
        raise OslError(f"{port} is no port: expected 0 to 65535", code="invalid-port", port=port)
    return port


def _name(host: str) -> str:
    """Return a host as rules know it: ASCII, lower case."""
    try:
        return host.encode("idna").decode().lower().rstrip(".")
    except UnicodeError:
        # Rules cannot match it, so it goes to the gate, and is refused and recorded, as it is.
        return host


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


async def resolve(
    host: str,
    port: int,
    transport: Transport,
    authority: Authority,
    *,
    family: int = socket.AF_UNSPEC,
) -> list[tuple[int, Address]]:
    """Return the addresses of a host that may be connected to, each decided by itself.

    One refused address refuses the name: a name that leads both outside and inside is no mistake.
    """
    _port(port)
    name = _name(host)
    literal = _literal(name)
    if literal is not None:
        await authority.decide(
            "network",
            "connect",
            endpoint(str(literal), port),
            address=str(literal),
            transport=transport,
        )
        numeric = str(literal)
    else:
        await authority.decide("network", "resolve", name)
        numeric = name
    found = await asyncio.get_running_loop().getaddrinfo(
        numeric,
        port,
        family=family,
        type=_TYPES[transport],
        flags=socket.AI_NUMERICHOST if literal is not None else socket.AI_ADDRCONFIG,
    )
    addresses: list[tuple[int, Address]] = [(each[0], each[4]) for each in found]
    if literal is None:
        for _, address in addresses:
            await authority.decide(
                "network",
                "connect",
                endpoint(name, port),
                address=str(address[0]),
                transport=transport,
            )
    return addresses


def _again(
    authority: Authority, access: str, target: str, address: str | None, transport: str
) -> Callable[[], Decision]:
    """Return a function that decides once more, when rules have changed."""

    def decide() -> Decision:
        return authority.gate.decide(
            authority.subject,
            "network",
            access,
            target,
            address=address,
            transport=transport,
            detail="still open",
        )

    return decide


@executor(Connect, decides="itself")
async def connect(operation: Connect, authority: Authority) -> Connection:
    """Connect to the first checked address that answers."""
    if operation.tls and operation.transport != "tcp":
        raise OslError("TLS runs over tcp only; leave `tls` out for udp", code="invalid-transport")
    addresses = await resolve(operation.host, operation.port, operation.transport, authority)
    failure: OSError | None = None
    for family, address in addresses:
        sock = socket.socket(family, _TYPES[operation.transport] | socket.SOCK_NONBLOCK)
        try:
            await asyncio.get_running_loop().sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
            continue
        except BaseException:
            sock.close()
            raise
        connection = await _established(sock, operation)
        connection._rest_on(  # noqa: SLF001 - the other half of making one
            authority,
            "connect",
            _again(
                authority,
                "connect",
                endpoint(_name(operation.host), operation.port),
                str(address[0]),
                operation.transport,
            ),
        )
        return connection
    assert failure is not None  # noqa: S101 - a name without addresses is an error of getaddrinfo
    raise failure


async def _established(sock: socket.socket, operation: Connect) -> Connection:
    if operation.transport == "udp":
        return DatagramConnection(sock)
    tls = ssl.create_default_context() if operation.tls is True else operation.tls or None
    try:
        return await StreamConnection.over(sock, tls, operation.server_name or operation.host)
    except BaseException:
        sock.close()
        raise


@executor(ConnectUnix, decides="itself")
async def connect_unix(operation: ConnectUnix, authority: Authority) -> Connection:
    """Connect to the socket that was looked at, by its descriptor."""
    path = await _unix_path(operation, operation.path, "connect", authority)
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        # Whether it exists is nobody's business who may not connect there.
        await authority.decide("network", "connect", f"unix:{os.path.realpath(path)}")
        raise
    try:
        target = f"unix:{os.readlink(f'/proc/self/fd/{descriptor}')}"
        await authority.decide("network", "connect", target)
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OslError(f"{path!r} is not a socket", code="not-a-socket", path=path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await asyncio.get_running_loop().sock_connect(sock, f"/proc/self/fd/{descriptor}")
            connection = await StreamConnection.over(sock, None, None)
        except BaseException:
            sock.close()
            raise
    finally:
        os.close(descriptor)
    connection._rest_on(  # noqa: SLF001 - the other half of making one
        authority, "connect", _again(authority, "connect", target, None, "tcp")
    )
    return connection


async def _unix_path(
    operation: Operation[object], path: str, access: str, authority: Authority
) -> str:
    if path.startswith("/") and "\0" not in path:
        return path
    # Abstract and relative names have no place in a tree that rules could speak about.
    shown = path.replace("\0", "@")
    await authority.decide("network", access, f"unix:{shown}")
    raise OslError(
        f"{shown!r} is not the absolute path of a Unix socket; abstract and relative names are "
        "not supported",
        code="invalid-unix-path",
        operation=operation.name,
    )


def _own_address(host: str) -> str:
    literal = _literal(host)
    if literal is None:
        raise OslError(
            f"{host!r} is not an IP address; listen on one of this machine's, such as 127.0.0.1",
            code="invalid-address",
            host=host,
        )
    mapped = literal.ipv4_mapped if isinstance(literal, ipaddress.IPv6Address) else None
    return str(mapped or literal)


async def _bind(
    host: str, port: int, transport: Transport, authority: Authority
) -> tuple[socket.socket, Callable[[], Decision]]:
    address = _own_address(host)
    target = endpoint(address, _port(port))
    await authority.decide("network", "listen", target, transport=transport)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, _TYPES[transport] | socket.SOCK_NONBLOCK)
    try:
        if transport == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` means IPv6 alone: IPv4 would be another address, and another decision.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
    except BaseException:
        sock.close()
        raise
    return sock, _again(authority, "listen", target, None, transport)


@executor(Listen, decides="itself")
async def listen(operation: Listen, authority: Authority) -> Listener:
    """Listen on the address that was checked."""
    sock, again = await _bind(operation.host, operation.port, "tcp", authority)
    sock.listen(operation.backlog)
    listener = Listener(sock, operation.tls, None)
    listener._rest_on(authority, again)  # noqa: SLF001 - the other half of making one
    return listener


@executor(ListenUnix, decides="itself")
async def listen_unix(operation: ListenUnix, authority: Authority) -> Listener:
    """Bind in the directory that was looked at."""
    path = await _unix_path(operation, operation.path, "listen", authority)
    parent, name = os.path.split(path)
    try:
        directory = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        await authority.decide("network", "listen", f"unix:{os.path.realpath(path)}")
        raise
    try:
        target = f"unix:{os.path.join(os.readlink(f'/proc/self/fd/{directory}'), name)}"
        await authority.decide("network", "listen", target)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.bind(f"/proc/self/fd/{directory}/{name}")
            sock.listen(operation.backlog)
        except BaseException:
            sock.close()
            raise
    except BaseException:
        os.close(directory)
        raise
    listener = Listener(sock, None, (directory, name))
    listener._rest_on(  # noqa: SLF001 - the other half of making one
        authority, _again(authority, "listen", target, None, "tcp")
    )
    return listener


@executor(OpenSocket, decides="itself")
async def open_socket(operation: OpenSocket, authority: Authority) -> Datagrams:
    """Open a UDP socket on the address that was checked."""
    sock, again = await _bind(operation.host, operation.port, "udp", authority)
    datagrams = Datagrams(sock, authority)
    datagrams._rest_on(authority, again)  # noqa: SLF001 - the other half of making one
    return datagrams
