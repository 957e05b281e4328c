"""The command `logs`: what the guests of a deployment logged."""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from airssys.cli.configuration import State, state_directory
from airssys.cli.moments import BACK, moment
from airssys.cli.names import Name, connected
from airssys.cli.output import Json, escaped
from airssys.wasm.actors.log_files import follow_log, read_log
from airssys.wasm.actors.log_line import LEVELS, LogLine
from airssys.wasm.state_directory import open_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airssys.wasm.actors.log_line import LogLevel

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(logs)


def logs(
    name: Name,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is logged from now on.")
    ] = False,
    level: Annotated[
        str, typer.Option("--level", metavar="LEVEL", help="trace, debug, info, warning, error.")
    ] = "trace",
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help=f"{BACK}."),
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Show what the guests of a deployment logged: of the server if one runs, else of the files.

    With `--json` each line is a JSON object.
    """
    if level not in LEVELS:
        raise typer.BadParameter(f"--level {level!r}: expected one of {', '.join(LEVELS)}")
    earliest = 0.0 if since is None else moment(since, "--since").timestamp()
    for line in _lines(state, name, level, earliest, follow=follow):
        if line.severity >= LEVELS[level] and line.at >= earliest:
            sys.stdout.write(line.encode().decode() if as_json else _text(line))
            if follow:
                sys.stdout.flush()


def _lines(
    state: Path | None, name: str, level: LogLevel, since: float, *, follow: bool
) -> Iterator[LogLine]:
    host = connected(state)
    if host is not None:
        with host:
            yield from host.log(name, follow=follow, level=level, since=since)
        return
    directory = state_directory(state)
    with contextlib.closing(open_registry(directory)) as registry:
        registry.deployment(name)  # or say that there is none
    if follow:
        yield from follow_log(directory / "logs", name, threading.Event())
    else:
        yield from read_log(directory / "logs", name)


def _text(line: LogLine) -> str:
    at = dt.datetime.fromtimestamp(line.at).astimezone()
    who = f"#{line.key}" if line.key else ""
    stream = "" if line.stream == "log" else f" {line.stream}"
    fields = "".join(f" {name}={value}" for name, value in line.fields.items())
    lost = f" ({line.lost} lines before this were dropped)" if line.lost else ""
    text = f"{at:%Y-%m-%d %H:%M:%S.%f} {line.level}{stream}{who} {line.message}{fields}{lost}"
    return escaped(text) + "\n"
