"""The command `dev`: a project or a script is live again a moment after it was saved."""

from __future__ import annotations

import os
import sys
from pathlib import Path  # noqa: TC003 - typer looks at annotations
from typing import TYPE_CHECKING, Annotated

import typer

from airssys.authoring.build import build
from airssys.authoring.project import find_project
from airssys.authoring.watch import changes
from airssys.cli.configuration import State  # noqa: TC001 - typer looks at annotations
from airssys.cli.names import using
from airssys.cli.output import print_error, print_note, print_text
from airssys.cli.projects import component_and_name, content_of
from airssys.errors import AirsSysError
from airssys.wasm.delivery.strategies import BlueGreen
from airssys.wasm.settings import settings_from

if TYPE_CHECKING:
    from airssys.testing.tables import Outcome

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(dev)


def dev(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SOURCE]",
            help="A script, or a project; by default the project at or above here.",
        ),
    ] = None,
    *,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="The deployment; by default as it says."),
    ] = None,
    state: State = None,
) -> None:
    """Build, test and deploy whenever a file was saved, until Ctrl-C.

    What does not build, fails a test or does not start is told, and what was live stays live. What
    it asks for is granted. With a server (`airssys serve`) it is replaced there, and its actors go
    on from their state where the manifest says so.
    """
    place = source if source is not None and source.is_file() else find_project(source)
    print_note(f"watching {place}; Ctrl-C ends it")
    for _ in changes(place):
        try:
            _once(place, name, state)
        except AirsSysError as error:
            hint = getattr(error, "hint", "")
            notes = getattr(error, "__notes__", ())
            print_error(getattr(error, "summary", error.message), hint, notes=notes)
        except OSError as error:
            print_error(f"{error.filename}: {error.strerror}")
        sys.stdout.flush()


def _once(place: Path, name: str | None, state: Path | None) -> None:
    """Build, test and deploy once."""
    if place.is_dir():
        built = build(place, say=print_note)
        if _failed(place, built.component):
            print_error("not deployed: a test failed")
            return
        content, name = built.component.read_bytes(), name or built.name
    else:
        place, name = component_and_name(place, name)
        content = content_of(place)
    with using(state, name, make=True) as host:
        deployment = host.deploy_as(
            content,
            name,
            settings_from(),
            grant="requested",
            why="dev",
            strategy=BlueGreen(),  # whatever a file says: who saves wants to see it
        )
        print_text(f"{name} is at revision {deployment.revision.number}")


def _failed(project: Path, component: Path) -> bool:
    """Run the tables of a project's tests; return whether a case failed."""
    failed = False
    for table in sorted((project / "tests").glob("*.toml")):
        from airssys.testing.tables import run_cases  # noqa: PLC0415 - starts a host

        for outcome in run_cases(table, component):
            if outcome.problem:
                failed = True
                print_text(_line(outcome, project))
    return failed


def _line(outcome: Outcome, project: Path) -> str:
    where = os.path.relpath(outcome.file, project)
    return f"FAIL  {outcome.name} ({where}:{outcome.line})\n      {outcome.problem}"
