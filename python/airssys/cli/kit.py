"""The commands `kit`: what a vendor gives to those who write components for it."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer looks at annotations
from typing import Annotated

import typer

from airssys.cli.output import Json, print_json, print_note

__all__ = ["app"]

app = typer.Typer(
    help="Pack what others begin their components with: world, template, doubles for tests.",
    no_args_is_help=True,
)


@app.callback()
def _kit() -> None:
    """Keep `pack` a command of its own, though there is one."""


@app.command()
def pack(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="With kit.toml, common and a folder per language.")
    ],
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="KIT", help="The file to write.")
    ],
    contract: Annotated[
        str,
        typer.Option(
            "--contract", metavar="MODULE:NAME", help="A Protocol whose WIT goes into the kit."
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Pack a folder as a kit, for `airssys new NAME --from KIT`.

    A project is made from it in each language and read, first. Files that end in `.in` have the
    name of the component put in where they say @name@.
    """
    from airssys.authoring.kits import pack as pack_kit  # noqa: PLC0415 - reads WIT

    kit = pack_kit(folder, output, contract=contract)
    if as_json:
        print_json({"kit": str(output), "name": kit.name, "version": kit.version})
    else:
        print_note(f"wrote {output}: {kit.name} {kit.version}")
