"""Serving a host until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING, Final

import uvicorn

from airssys.server.application import application
from airssys.server.http import HttpFront
from airssys.server.policy_following import following_policy
from airssys.server.principals import Access
from airssys.server.protocol import ControlProtocol
from airssys.server.service import Service
from airssys.server.sockets import listen
from airssys.server.told import telling
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.remote.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from airssys.wasm.host import Host
    from airssys.wasm.ingress import HttpRoute

__all__ = ["ServeSettings", "serve"]

_log: Final = logging.getLogger("airssys.server")
#: Seconds that a connection may be idle between two requests; longer than clients keep it.
KEEP_ALIVE: Final = 75
#: Connections at once, on each address.
MOST_CONNECTIONS: Final = 512
#: Bytes of the largest head of a request.
MOST_HEAD: Final = 64 * 1024
#: Seconds that answers get after everything has ended.
LAST_SECONDS: Final = 2.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """How a host is served.

    Attributes:
        control: Where it listens, besides the socket `control.sock` in the state directory.
        access: Who may do what; the user of this process everything by default.
        names: Host names by which it may be called on TCP, besides its address.
        certificate: File with the certificate for `https` addresses.
        key: File with its key.
        http: Where requests from outside to the deployments come: `127.0.0.1:8080`.
        routes: Which of them go to which deployment.
        drain: Seconds that calls, messages and answers get when it is told to end.
        patience: Seconds that a client has for the rest of a request, and to take an answer.
    """

    control: Sequence[Address] = ()
    access: Access = dataclasses.field(default_factory=Access)
    names: Sequence[str] = ()
    certificate: Path | None = None
    key: Path | None = None
    http: Sequence[str] = ()
    routes: Sequence[HttpRoute] = ()
    drain: float = 30.0
    patience: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what would let in whom nobody meant to."""
        for address in self.control:
            if address.path is not None:
                continue
            if not self.access.has_tokens:
                raise InvalidSetting(
                    f"whoever reaches {address} could do everything",
                    hint="--token-file names a file with tokens",
                )
            if address.kind == "tcp" and not address.is_loopback:
                raise InvalidSetting(
                    f"tokens would be sent to {address} in clear text",
                    hint="--control https://… with --certificate and --key, or 127.0.0.1",
                )
            if address.kind == "tls" and self.certificate is None:
                raise InvalidSetting(
                    f"{address} needs a certificate", hint="--certificate FILE --key FILE"
                )


class _Server(uvicorn.Server):
    """One of uvicorn's servers, which leaves signals to `serve`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(
    host: Host, settings: ServeSettings, ready: Callable[[list[str], list[str]], None]
) -> None:
    """Serve a host until SIGTERM or SIGINT, then end in order: calls, messages, answers.

    A second signal ends the process at once.

    Args:
        host: It is open; it is closed when this returns.
        settings: How.
        ready: Called when it listens, with the addresses of its control API and those for requests
            from outside; a port 0 is the one that was found then.

    Raises:
        InvalidSetting: It cannot listen at an address.
        AddressUnavailable: The same, for requests from outside.
    """
    local = Address("unix", path=host.directory / "control.sock")
    wanted = [local, *(each for each in settings.control if each != local)]
    with contextlib.ExitStack() as closing:
        listening = []
        for address in wanted:
            opened = listen(address, others=settings.access.others)
            closing.callback(opened.close)
            if address.path is not None:
                closing.callback(address.path.unlink, missing_ok=True)
            listening.append((_found(address, opened), opened))
        service = Service(host, settings.patience)
        closing.callback(service.uploads.close)
        names = _names(settings, [address for address, _ in listening])
        answering = application(service, settings.access, names)
        servers = [
            (_Server(_configuration(settings, address, answering)), opened)
            for address, opened in listening
        ]
        closing.enter_context(telling(host))
        service.front = front = HttpFront(host, settings.routes)
        for where in settings.http:
            await front.listen(where)
        with _signals(service.ending):
            tasks = [asyncio.create_task(server.serve([opened])) for server, opened in servers]
            while not all(server.started for server, _ in servers):
                for task in tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)
            _tell_manager("READY=1")
            async with following_policy(host.osl):
                ready(
                    [str(address) for address, _ in listening],
                    [each.address for each in front.ingresses],
                )
                ending = asyncio.create_task(service.ending.wait())
                await asyncio.wait([ending, *tasks], return_when=asyncio.FIRST_COMPLETED)
                service.ending.set()
                ending.cancel()
            await _end(service, settings, [server for server, _ in servers], tasks)


async def _end(
    service: Service,
    settings: ServeSettings,
    servers: Sequence[uvicorn.Server],
    tasks: Sequence[asyncio.Task[None]],
) -> None:
    """Take nothing new, let what runs end within the deadline, then close the host."""
    _log.info("ending: calls get %g seconds", settings.drain)
    _tell_manager("STOPPING=1")
    for server in servers:
        server.should_exit = True
    # Calls that run keep the connections that wait for them.
    loop = asyncio.get_running_loop()
    end = loop.time() + settings.drain
    if service.front is not None:
        await service.front.close(settings.drain)
    await service.host.close(max(0.0, end - loop.time()))
    _, left = await asyncio.wait(tasks, timeout=LAST_SECONDS)
    for server in servers:
        server.force_exit = True
    for connection in [each for server in servers for each in server.server_state.connections]:
        connection.transport.abort()
    if left:
        await asyncio.wait(left, timeout=LAST_SECONDS)


def _configuration(settings: ServeSettings, address: Address, answering: object) -> uvicorn.Config:
    secure = address.kind == "tls"
    return uvicorn.Config(
        answering,  # type: ignore[arg-type]  # an ASGI application
        http=functools.partial(ControlProtocol, patience=settings.patience),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=MOST_HEAD,
        ssl_certfile=str(settings.certificate) if secure else None,
        ssl_keyfile=str(settings.key) if secure and settings.key else None,
    )


def _found(address: Address, opened: socket.socket) -> Address:
    if address.path is not None:
        return address
    return dataclasses.replace(address, port=opened.getsockname()[1])


def _names(settings: ServeSettings, addresses: Sequence[Address]) -> set[str]:
    names = set()
    for address in addresses:
        if address.path is None:
            own = {address.host, *settings.names, *(("localhost",) if address.is_loopback else ())}
            names |= {dataclasses.replace(address, host=name).authority for name in own}
            if address.port == (443 if address.kind == "tls" else 80):
                names |= own
    return names


@contextlib.contextmanager
def _signals(ending: asyncio.Event) -> Iterator[None]:
    """Begin the end at the first signal, and end at once at the second."""
    loop = asyncio.get_running_loop()

    def hear(number: signal.Signals) -> None:
        if ending.is_set():
            os._exit(128 + number)
        ending.set()

    heard = (signal.SIGTERM, signal.SIGINT)
    for number in heard:
        loop.add_signal_handler(number, hear, number)
    try:
        yield
    finally:
        for number in heard:
            loop.remove_signal_handler(number)


def _tell_manager(state: str) -> None:
    """Tell the service manager that started this process, as systemd does, how it is."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
        telling.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
