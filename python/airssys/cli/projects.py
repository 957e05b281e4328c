"""What is deployed where no component is named: that of a project, or a script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from airssys.cli.output import print_note
from airssys.wasm.component_file import read_component

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["component_and_name", "content_of"]


def component_and_name(file: Path | None, name: str | None) -> tuple[Path, str]:
    """Return the component to deploy and the name of its deployment.

    Args:
        file: A component, a script, or the folder of a project, which is built where it has
            changed; the project at or above the working directory by default.
        name: The deployment; the name in the component's manifest by default.

    Raises:
        NoProject: No file is named, and there is no project.
        BadParameter: No name is given, and the component has no manifest.
    """
    if file is None or file.is_dir():
        from airssys.authoring.build import build  # noqa: PLC0415 - only projects need it
        from airssys.authoring.errors import NoProject  # noqa: PLC0415
        from airssys.authoring.project import find_project  # noqa: PLC0415

        try:
            project = find_project(file)
        except NoProject as error:
            if file is None:
                error.hint = f"name the component: `airssys deploy FILE`; or {error.hint}"
            raise
        built = build(project, say=print_note)
        return built.component, name or built.name
    if name is not None:
        from airssys.wasm.deployment_name import check_deployment_name  # noqa: PLC0415 - as above

        check_deployment_name(name)  # before a loader is built for a script
    elif not _is_script(file):
        from airssys.testing.components import manifest_in  # noqa: PLC0415 - as above

        manifest = manifest_in(read_component(file))
        if manifest is None:
            raise typer.BadParameter(f"{file} has no manifest with a name: --name is needed")
        name = manifest.component.name
    else:
        from airssys.authoring.scripts import script_name  # noqa: PLC0415 - as above

        name = script_name(file)
        if name is None:
            raise typer.BadParameter(f"{file} does not say its name: --name is needed")
    return file, name


def content_of(file: Path) -> bytes:
    """Return what is deployed of a file: a component as it is, a script with what runs it."""
    if not _is_script(file):
        return read_component(file)
    from airssys.authoring.scripts import script  # noqa: PLC0415 - few files are scripts

    return script(file, say=print_note)


def _is_script(file: Path) -> bool:
    return file.suffix in {".py", ".js"}
