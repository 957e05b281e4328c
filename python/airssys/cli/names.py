"""Names of deployments and addresses of actors on the command line."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from airssys.cli.configuration import (
    admission,
    configuration,
    policy,
    server_address,
    state_directory,
)
from airssys.errors import AirsSysError
from airssys.wasm.host_errors import StateDirectoryInUse
from airssys.wasm.state_lock import owner_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typing_extensions import TypeIs

    from airssys.wasm.host_blocking import BlockingHost
    from airssys.wasm.host_core import HostCore
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost

__all__ = [
    "PATIENCE",
    "Address",
    "Name",
    "connected",
    "is_served",
    "opened",
    "served",
    "using",
    "using_host",
]

#: Seconds that a command waits for a state directory that another process has open.
PATIENCE: Final = 5.0
#: Seconds between two looks whether it is served, or free.
_LOOK: Final = 0.05


def _names(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a deployment in the shell; without a state directory, nothing."""
    from airssys.wasm.state_directory import open_registry  # noqa: PLC0415 - as below

    try:
        registry = open_registry(state_directory(context.params.get("state")))
    except AirsSysError:
        return []
    with contextlib.closing(registry):
        names = [deployment.name for deployment in registry.deployments()]
    return [name for name in names if name.startswith(incomplete)]


Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The deployment, as image/resizer.", autocompletion=_names),
]

Address = Annotated[
    str,
    typer.Argument(
        metavar="NAME[#KEY]",
        help="The deployment, as game/room, and which of its actors.",
        autocompletion=_names,
    ),
]


@contextlib.contextmanager
def using(
    state: Path | None, name: str, *, make: bool = False
) -> Iterator[BlockingHost | BlockingConnectedHost]:
    """Use the host that serves the state directory; where there is none, open one deployment."""
    with _using(state, (name,), make=make) as host:
        yield host


@contextlib.contextmanager
def using_host(state: Path | None) -> Iterator[BlockingHost | BlockingConnectedHost]:
    """Use the host that serves the state directory; where there is none, open no deployment."""
    with _using(state, ()) as host:
        yield host


@contextlib.contextmanager
def _using(
    state: Path | None, only: tuple[str, ...], *, make: bool = False
) -> Iterator[BlockingHost | BlockingConnectedHost]:
    with contextlib.ExitStack() as closing:
        yield closing.enter_context(_found(state, only, make=make))


def _found(
    state: Path | None, only: tuple[str, ...], *, make: bool
) -> contextlib.AbstractContextManager[BlockingHost | BlockingConnectedHost]:
    """Return the host to use; waits for one that is about to be served, or to be closed."""
    end = time.monotonic() + PATIENCE
    while True:
        served = connected(state)
        if served is not None:
            return served
        # A client needs nothing of it, and loading it is most of what a command takes.
        from airssys.wasm.host_blocking import BlockingHost  # noqa: PLC0415

        try:
            core = _open(state, only, make=make)
        except StateDirectoryInUse as error:
            if time.monotonic() >= end:
                error.hint = (
                    "it takes no commands there: end it, run `airssys serve` instead, or name"
                    " its server with --server ADDRESS"
                )
                raise
            time.sleep(_LOOK)
        else:
            return BlockingHost(core)


def is_served(host: BlockingHost | BlockingConnectedHost) -> TypeIs[BlockingConnectedHost]:
    """Tell whether a host that is used is another process's, loading neither kind to find out."""
    return hasattr(host, "address")


def connected(state: Path | None) -> BlockingConnectedHost | None:
    """Return the host that serves the state directory; None where there is none.

    Where a server is named by its address, it is that one, with the token in `AIRSSYS_TOKEN`.

    Raises:
        InvalidAddress: That is none.
    """
    address = server_address(state)
    if address is not None:
        from airssys.wasm.remote.host_blocking import BlockingConnectedHost  # noqa: PLC0415

        return BlockingConnectedHost(address, token=os.environ.get("AIRSSYS_TOKEN") or None)
    directory = state_directory(state)
    control = directory.absolute() / "control.sock"
    # What a killed server left behind is no server.
    if not control.is_socket() or owner_of(directory) is None:
        return None
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost  # noqa: PLC0415 - as above

    return BlockingConnectedHost(f"unix:{control}")


def served(state: Path | None) -> BlockingConnectedHost:
    """Return the host that serves the state directory.

    Raises:
        ServerUnreachable: There is none.
    """
    found = connected(state)
    if found is None:
        from airssys.wasm.remote.errors import ServerUnreachable  # noqa: PLC0415 - as above

        raise ServerUnreachable(
            f"no server runs on state directory {state_directory(state)}",
            hint="`airssys serve` starts one",
        )
    return found


@contextlib.contextmanager
def opened(state: Path | None, *names: str, make: bool = False) -> Iterator[HostCore]:
    """Open the state directory with some of its deployments; `make` one where there is none."""
    core = _open(state, names, make=make)
    try:
        yield core
    finally:
        core.close()


def _open(state: Path | None, names: tuple[str, ...], *, make: bool) -> HostCore:
    if not make:
        from airssys.wasm.state_directory import open_registry  # noqa: PLC0415 - as below

        open_registry(state_directory(state)).close()  # refuses to make one
    # Most commands only read; they need no host.
    from airssys.wasm.host_core import HostCore  # noqa: PLC0415
    from airssys.wasm.security.security_settings import SecuritySettings  # noqa: PLC0415

    return HostCore(
        state_directory(state),
        only=names,
        admission=admission(),
        security=SecuritySettings(policy=policy()),
        configuration=configuration(),
    )
