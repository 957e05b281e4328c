"""The commands on files: `inspect` and `run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airssys.cli.actors import inspect_deployment
from airssys.cli.configuration import State  # noqa: TC001 - typer looks at annotations
from airssys.cli.grants import directories, environment
from airssys.cli.invoke import invoke
from airssys.cli.output import (
    Json,
    print_error,
    print_json,
    print_pairs,
    print_text,
    size_text,
    working,
)
from airssys.wasm.blobs import digest_of
from airssys.wasm.deployment_name import check_deployment_name
from airssys.wasm.engine import Engine
from airssys.wasm.errors import LimitExceeded, Trap
from airssys.wasm.host_errors import InvalidDeploymentName
from airssys.wasm.limits import Limits
from airssys.wasm.wasi import Wasi

if TYPE_CHECKING:
    from airssys.wasm.component import Component

__all__ = ["add_to"]

File = Annotated[Path, typer.Argument(metavar="FILE", help="A component, binary or text.")]

#: What a shell reports for a program that was aborted.
_ABORTED = 134
#: A command runs until it ends or is interrupted, unless told otherwise.
_NO_TIMEOUT = 10.0 * 365 * 86_400


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(inspect)
    app.command(context_settings={"ignore_unknown_options": False})(run)


def inspect(
    what: Annotated[
        str, typer.Argument(metavar="FILE|NAME", help="A component's file, or a deployment.")
    ],
    *,
    wit: Annotated[bool, typer.Option("--wit", help="Print the component's world as WIT.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Start a deployment's actors and ask how they are.")
    ] = False,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Show what a component is, needs and offers; or what a deployment is, and its actors.

    What is a file is taken as one; anything else that can be a deployment's name is one.
    """
    file = Path(what)
    if not file.exists() and _is_name(what):
        if wit:
            raise typer.BadParameter(f"--wit is of a component's file, and {what} is a deployment")
        inspect_deployment(what, state, live=live, as_json=as_json)
        return
    if live:
        raise typer.BadParameter(f"--live is of a deployment, and {what} is none")
    component = _load(file)
    # As a deployment names it: of the bytes that it is given, text included.
    digest = digest_of(file.read_bytes())
    signatures = {path: component.signature(path) for path in component.exports}
    if as_json:
        print_json(
            {
                "digest": digest,
                "size": component.size,
                "profile": component.profile,
                "memory_required": component.memory_required,
                "imports": component.imports,
                "provide": component.required,
                "exports": signatures,
                "wit": component.wit(),
            }
        )
    elif wit:
        print_text(component.wit())
    else:
        print_pairs(
            [
                ("digest", digest),
                ("size", size_text(component.size)),
                ("profile", component.profile),
                ("memory", f"{size_text(component.memory_required)} from the beginning"),
                ("imports", "\n".join(component.imports) or "nothing"),
                ("to provide", "\n".join(component.required) or "nothing"),
                ("exports", "\n".join(signatures.values()) or "nothing"),
            ]
        )


def run(
    file: File,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGS]...", help="For the program.")
    ] = None,
    *,
    directory: Annotated[
        list[str] | None,
        typer.Option("--dir", metavar="HOST::GUEST[:ro]", help="Give it a directory."),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME[=VALUE]", help="Give it a variable."),
    ] = None,
    connect: Annotated[
        list[str] | None,
        typer.Option("--connect", metavar="HOST:PORT", help="Let it connect; PORT may be *."),
    ] = None,
    http: Annotated[
        list[str] | None,
        typer.Option("--http", metavar="HOST[:PORT]", help="Let it send HTTP requests."),
    ] = None,
    call: Annotated[
        str | None,
        typer.Option("--invoke", metavar="CALL", help="Call a function instead: 'add(2, 3)'."),
    ] = None,
    memory: Annotated[
        str, typer.Option("--memory", metavar="SIZE", help="The most memory it may have.")
    ] = "1GiB",
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="The most time it may take.")
    ] = _NO_TIMEOUT,
    as_json: Json = False,
) -> int:
    """Run a command component, or one function of any component.

    It is given nothing but what the options say, and this terminal's input and output. The exit
    code is the program's own; 134 where it trapped or reached a limit.
    """
    try:
        limits = Limits(memory=memory, call_timeout=timeout, cpu_per_call=timeout)
        wasi = Wasi(
            arguments=[file.name, *(arguments or [])],
            environment=environment(env or []),
            directories=directories(directory or []),
            connect=connect or [],
            http=http or [],
            stdin=None,
            stdout="inherit",
            stderr="inherit",
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    component = _load(file)
    if call is not None:
        instance = component.instantiate(limits=limits, wasi=wasi)
        return invoke(component, call, lambda path, *given: instance[path](*given), as_json=as_json)
    try:
        status = component.run(wasi=wasi, limits=limits).status
    except (Trap, LimitExceeded) as error:
        print_error(error.message, notes=getattr(error, "__notes__", ()))
        status = _ABORTED
    if as_json:
        print_json({"status": status})
    return status


def _is_name(text: str) -> bool:
    try:
        check_deployment_name(text.partition("#")[0])
    except InvalidDeploymentName:
        return False
    return True


def _load(file: Path) -> Component:
    with working(f"compiling {file.name}"):
        return Engine().load(file)
