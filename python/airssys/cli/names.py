"""Names of deployments and addresses of actors on the command line."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from airssys.cli.configuration import admission, configuration, policy, state_directory
from airssys.errors import AirsSysError
from airssys.wasm.state_directory import open_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airssys.wasm.host_core import HostCore

__all__ = ["Address", "Name", "opened"]


def _names(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a deployment in the shell; without a state directory, nothing."""
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
def opened(state: Path | None, name: str) -> Iterator[HostCore]:
    """Open the state directory with one of its deployments."""
    # Most commands only read; they need no host.
    from airssys.wasm.host_core import HostCore  # noqa: PLC0415
    from airssys.wasm.security.host_security import SecuritySettings  # noqa: PLC0415

    core = HostCore(
        state_directory(state),
        only=(name,),
        admission=admission(),
        security=SecuritySettings(policy=policy()),
        configuration=configuration(),
    )
    try:
        yield core
    finally:
        core.close()
