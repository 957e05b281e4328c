"""The command `new`: a project to begin with."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer looks at annotations
from typing import Annotated

import typer

from airssys.authoring.new import LANGUAGES, new_project, templates
from airssys.cli.output import Json, print_json, print_note

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(new)


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The component, as hello or image/resizer.")
    ],
    *,
    language: Annotated[
        str | None,
        typer.Option("--lang", metavar="LANGUAGE", help=f"{', '.join(LANGUAGES)}."),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template", metavar="TEMPLATE", help=f"{', '.join(templates())}; function if unsaid."
        ),
    ] = None,
    kit: Annotated[
        Path | None,
        typer.Option("--from", metavar="KIT", help="A kit to begin with, in the place of those."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="DIR", help="Where its folder goes; here by default."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a project that builds, passes its tests and can be deployed at once."""
    if kit is None:
        template = template or "function"
        folder = new_project(name, language=language, template=template, into=into)
    elif template is not None:
        raise typer.BadParameter("--from and --template both say what to begin with: give one")
    else:
        from airssys.authoring.kits import unpacked  # noqa: PLC0415 - few projects have one

        with unpacked(kit) as source:
            folder = new_project(name, language=language, folder_of_template=source, into=into)
    if as_json:
        print_json({"folder": str(folder), "language": language, "template": template})
    else:
        print_note(f"{folder} is ready: cd there, then `airssys build` and `airssys test`")
