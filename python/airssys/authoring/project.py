"""A project: the folder of one component's source."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from airssys.authoring.errors import NoProject

if TYPE_CHECKING:
    from airssys.wasm.manifest import ComponentManifest

__all__ = ["MANIFEST", "Language", "Project", "find_project"]

Language = Literal["rust", "python", "javascript", "typescript", "c"]

MANIFEST: Final = "Component.toml"
_NEW: Final = "`airssys new NAME --lang python` makes a project"


@dataclasses.dataclass(frozen=True, slots=True)
class Project:
    """A folder with a `Component.toml`, and what that says.

    Attributes:
        folder: The folder, absolute.
        manifest: Its `Component.toml`.
    """

    folder: Path
    manifest: ComponentManifest

    @classmethod
    def at(cls, folder: Path) -> Project:
        """Read the project in a folder.

        Raises:
            NoProject: There is none.
            ManifestError: Its `Component.toml` cannot be used; names file, line and column.
        """
        from airssys.wasm.manifest import read_component_manifest  # noqa: PLC0415 - a no-op has no need

        file = folder.absolute() / MANIFEST
        if not file.is_file():
            raise NoProject(f"{folder} has no {MANIFEST}", hint=_NEW)
        return cls(folder.absolute(), read_component_manifest(file))

    @property
    def name(self) -> str:
        """The name of the component: `image/resizer`."""
        return self.manifest.component.name

    @property
    def language(self) -> Language:
        """What it is written in."""
        return self.manifest.build.language

    @property
    def world(self) -> str:
        """The world that it implements, by its name in the project's own WIT; empty for the one."""
        world = self.manifest.build.world
        return "" if world.startswith("airssys:") else world

    @property
    def wit(self) -> Path:
        """The folder of its WIT."""
        return self.folder / "wit"

    @property
    def output(self) -> Path:
        """Where its component goes."""
        return output_of(self.folder)


def output_of(folder: Path) -> Path:
    """Return where the component of the project in a folder goes."""
    return folder / "build" / "component.wasm"


def find_project(start: Path | None = None) -> Path:
    """Return the folder of the project at or above a folder, the working directory by default.

    Raises:
        NoProject: There is none.
    """
    here = (start or Path.cwd()).absolute()
    if start is not None and not here.is_dir():
        raise NoProject(f"{start} is no folder", hint="name the folder of a project")
    for folder in (here, *here.parents):
        if (folder / MANIFEST).is_file():
            return folder
    raise NoProject(f"no {MANIFEST} in {here} or above it", hint=_NEW)
