"""The command `serve`: a host that runs until it is told to end, and its control API."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path  # noqa: TC003 - typer looks at annotations
from typing import TYPE_CHECKING, Annotated, Final

import typer

from airssys.cli.configuration import State, admission, configuration, policy, state_directory
from airssys.cli.names import PATIENCE, connected
from airssys.cli.output import Json, print_json, print_note
from airssys.wasm.host import Host
from airssys.wasm.host_errors import InvalidSetting, StateDirectoryInUse
from airssys.wasm.remote.address import read_address

if TYPE_CHECKING:
    from airssys.server import Access, ServeSettings

__all__ = ["add_to"]

#: Seconds between two looks whether a state directory is free.
_LOOK: Final = 0.05


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(serve)


def serve(
    *,
    control: Annotated[
        list[str] | None,
        typer.Option(
            "--control",
            metavar="ADDRESS",
            help="Listen there too: unix:PATH, http://127.0.0.1:PORT, https://HOST:PORT.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="Who may do what on TCP: a token a line, then a name and its roles.",
        ),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            "--user",
            metavar="USER=ROLES",
            help="Let a user of this machine do what roles allow: read,call,deploy,approve.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="A host name by which it may be called."),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE", help="For https addresses.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="The key of the certificate.")
    ] = None,
    http: Annotated[
        list[str] | None,
        typer.Option(
            "--http", metavar="ADDRESS", help="Take HTTP requests to deployments: 127.0.0.1:8080."
        ),
    ] = None,
    route: Annotated[
        list[str] | None,
        typer.Option(
            "--route",
            metavar="RULE",
            help="[HOST]/PATH=DEPLOYMENT[:HANDLING]; handling is http, functions or a function.",
        ),
    ] = None,
    drain: Annotated[
        float,
        typer.Option("--drain", metavar="SECONDS", help="For what runs when it is told to end."),
    ] = 30.0,
    patience: Annotated[
        float,
        typer.Option(
            "--patience", metavar="SECONDS", help="For a client that stalls in a request."
        ),
    ] = 10.0,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Serve the deployments of a state directory until SIGTERM or Ctrl-C.

    It listens on `control.sock` in the state directory, for the user that runs it. Told to end, it
    takes nothing new, lets calls and messages end within `--drain`, and exits with 0; a second
    signal ends it at once. Policy files are taken as they change.
    """
    try:
        from airssys.server import ServeSettings, read_route  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise InvalidSetting(
            f"`airssys serve` needs {error.name}", hint="pip install 'airssys[server]'"
        ) from error
    settings = ServeSettings(
        control=tuple(map(read_address, control or ())),
        access=_access(user or [], token_file),
        names=tuple(name or ()),
        certificate=certificate,
        key=key,
        drain=drain,
        patience=patience,
        http=tuple(http or ()),
        routes=tuple(map(read_route, route or ())),
    )
    asyncio.run(_serve(state_directory(state), settings, as_json=as_json))


async def _serve(directory: Path, settings: ServeSettings, *, as_json: bool) -> None:
    from airssys.server import serve  # noqa: PLC0415 - an extra

    async with contextlib.AsyncExitStack() as closing:
        host = await _opened(directory, closing)

        def ready(control: list[str], http: list[str]) -> None:
            if as_json:
                directory = str(host.directory)
                print_json({"directory": directory, "control": control, "http": http})
                sys.stdout.flush()  # whoever started this waits for it
            else:
                print_note(f"serving {host.directory} at {', '.join(control)}")
                for address in http:
                    print_note(f"taking HTTP requests at http://{address}")
            names = {each.name for each in host.deployments()}
            for each in settings.routes:
                if each.deployment not in names:
                    print_note(
                        f"no deployment is named '{each.deployment}', to which a route leads:"
                        " it holds from when there is one"
                    )

        await serve(host, settings, ready)


async def _opened(directory: Path, closing: contextlib.AsyncExitStack) -> Host:
    """Open the host; waits for a command that has the directory open for a moment."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while True:
        try:
            opening = Host.open(
                directory, configuration=configuration(), admission=admission(), policy=policy()
            )
            return await closing.enter_async_context(opening)
        except StateDirectoryInUse:
            if connected(directory) is not None or loop.time() >= end:
                raise
            await asyncio.sleep(_LOOK)


def _access(users: list[str], token_file: Path | None) -> Access:
    from airssys.server.principals import (  # noqa: PLC0415 - an extra
        Access,
        read_roles,
        read_tokens,
    )

    roles = {}
    for text in users:
        user, separator, given = text.partition("=")
        if not separator or not user:
            raise typer.BadParameter(f"--user {text!r}: expected USER=ROLE,ROLE")
        roles[user] = read_roles(given, f"--user {user}")
    return Access(roles, {} if token_file is None else read_tokens(token_file))
