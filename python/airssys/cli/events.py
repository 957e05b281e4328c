"""The command `events`: what happens in a host that is served."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from airssys.cli.configuration import State  # noqa: TC001 - typer looks at annotations
from airssys.cli.names import served
from airssys.cli.output import Json, escaped, short_digest

if TYPE_CHECKING:
    from airssys.wasm.host_events import HostEvent

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(events)


def events(
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")
    ] = False,
    after: Annotated[
        int | None, typer.Option("--after", metavar="NUMBER", help="Only later ones than this.")
    ] = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Show what happened to the deployments of a host that is served.

    With `--json` each event is a JSON object on a line of its own; a gap is `{"lost": n}`.
    """
    with served(state) as host:
        for event in host.events(follow=follow, after=0 if after is None else after):
            sys.stdout.write(_json(event) if as_json else _text(event))
            if follow:
                sys.stdout.flush()


def _json(event: HostEvent | int) -> str:
    document = {"lost": event} if isinstance(event, int) else event
    return msgspec.json.encode(document).decode() + "\n"


def _text(event: HostEvent | int) -> str:
    if isinstance(event, int):
        return f"... {event} events are missing here: they came faster than they were read\n"
    at = dt.datetime.fromtimestamp(event.at).astimezone()
    facts = " ".join(
        f"{name}={short_digest(str(value)) if name == 'digest' else value}"
        for name, value in event.facts.items()
        if value != ""
    )
    text = f"{event.sequence:>6} {at:%H:%M:%S.%f} {event.kind:<12} {event.deployment} {facts}"
    return escaped(text.rstrip()) + "\n"
