"""The command `bindgen`: typed Python for hosts."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer looks at annotations
from typing import Annotated

import typer

from airssys.authoring.bindgen import bindings_of
from airssys.cli.files import replace_file
from airssys.cli.output import print_note, print_text

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(bindgen)


def bindgen(
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="A component, a WIT file, or a folder of WIT."),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="The module; printed by default."),
    ] = None,
    world: Annotated[
        str, typer.Option("--world", metavar="NAME", help="Which world, where there are several.")
    ] = "",
    blocking: Annotated[
        bool, typer.Option("--blocking", help="Plain methods, for `Host.open_blocking`.")
    ] = False,
) -> None:
    """Write Python that a host calls a component by, with its types.

    It has a Protocol for each interface that the component exports, for
    `deployment.implementing(…)`, and for each that it imports, for `Host.open(provides=…)`; and the
    types that they need. The same WIT gives the same text.
    """
    text = bindings_of(source, world=world, blocking=blocking)
    if output is None:
        print_text(text)
        return
    if not output.is_file() or output.read_text("utf-8") != text:
        replace_file(output, text.encode())
    print_note(f"wrote {output}")
