"""Building by a command of the project's own: `build.command` in `Component.toml`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from airssys.authoring._native import componentise
from airssys.authoring.commands import run
from airssys.authoring.errors import BuildFailed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["build"]

#: Where the command puts what it made.
_OUTPUT: Final = "AIRSSYS_OUTPUT"
#: How a core module begins; a component has another version.
_CORE: Final = b"\0asm\x01\0\0\0"


def build(command: str, folder: Path, wit: Path, world: str, output: Path) -> None:
    """Run a command, and make a component of what it made where that is a core module.

    Args:
        command: For the shell, in the folder; it writes the file that `AIRSSYS_OUTPUT` names.
        folder: The project.
        wit: The folder with the world.
        world: Its name.
        output: Where the component goes.

    Raises:
        BuildFailed: The command failed, made nothing, or made what is no component of this world.
    """
    environment = {**os.environ, _OUTPUT: str(output)}
    run(["sh", "-c", command], cwd=folder, env=environment, failed=f"`{command}` failed")
    try:
        content = output.read_bytes()
    except FileNotFoundError:
        raise BuildFailed(
            f"`{command}` made no component",
            hint=f'it is to write the file that "${_OUTPUT}" names',
        ) from None
    if content.startswith(_CORE):
        try:
            output.write_bytes(componentise(content, wit, world))
        except ValueError as error:
            raise BuildFailed(
                f"what `{command}` made does not fit the world {world}: {error}"
            ) from None
    elif not content.startswith(b"\0asm"):
        raise BuildFailed(f"what `{command}` made is no WebAssembly")
