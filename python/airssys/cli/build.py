"""The command `build`: from source to component."""

from __future__ import annotations

import dataclasses
from pathlib import Path  # noqa: TC003 - typer looks at annotations
from typing import TYPE_CHECKING, Annotated

import typer

from airssys.authoring.build import build as build_project
from airssys.authoring.project import find_project
from airssys.cli.output import Json, print_json, print_note, short_digest, size_text

if TYPE_CHECKING:
    from airssys.authoring.build import Built

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(build)


def build(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="A project; the one at or above here by default."),
    ] = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Build also where nothing has changed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compile a project into its component, with its manifest inside.

    Toolchains are installed into the cache of the user when they are needed first. Nothing is
    compiled where nothing has changed.
    """
    built = build_project(find_project(folder), force=force, say=print_note)
    if as_json:
        print_json({**dataclasses.asdict(built), "component": str(built.component)})
    else:
        print_note(report(built))


def report(built: Built) -> str:
    """Return what there is to say of a build, for a person."""
    what = f"{built.component} ({short_digest(built.digest)}, {size_text(built.size)}"
    if not built.changed:
        return f"{what}) is up to date"
    parts = ", ".join(f"{size_text(size)} {kind}" for kind, size in built.parts.items())
    return f"{what}: {parts}) in {built.seconds:.1f} s"
