"""A project's WIT, read before any compiler sees it."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Final

from airssys.authoring._native import read_world
from airssys.authoring.errors import WitError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["World", "world_of"]

_PLACE: Final = re.compile(
    r"\n\s*--> (?P<file>.*):(?P<line>\d+):(?P<column>\d+)\n(?P<source>.*)", re.DOTALL
)


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """What a component is to import and export.

    Attributes:
        name: Its name.
        imports: Names of interfaces and functions.
        exports: Paths of functions: `add`, or `demo:calc/ops#add`.
    """

    name: str
    imports: tuple[str, ...]
    exports: tuple[str, ...]


def world_of(wit: Path, name: str = "") -> World:
    """Read a world.

    Args:
        wit: The folder of its package, with the packages that it needs in `deps`.
        name: Which one, where there are several.

    Raises:
        WitError: There is none, or its WIT has a mistake; names file, line and column.
    """
    if not any(wit.glob("*.wit")):
        raise WitError(f"{wit} has no WIT file", hint="a world says what the component offers")
    try:
        found = read_world(wit, name or None)
    except ValueError as error:
        raise _explained(wit, name, str(error)) from None
    return World(found["name"], tuple(found["imports"]), tuple(found["exports"]))


def _explained(wit: Path, name: str, problem: str) -> WitError:
    place = _PLACE.search(problem)
    if place is None:
        hint = f"Component.toml names the world {name!r}" if name else ""
        return WitError(f"{wit}: {problem}", hint=hint)
    # What parses which package is of no use where the very place is known.
    what = problem[: place.start()].rpartition(f"{wit}: ")[2].strip()
    what = what.rpartition("]: ")[2]
    where = f"{place['file']}:{place['line']}:{place['column']}"
    error = WitError(
        f"{where}: {what}", file=place["file"], line=int(place["line"]), column=int(place["column"])
    )
    error.add_note(place["source"])
    return error
