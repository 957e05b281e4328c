"""Packages whose public names are imported when they are first used.

A program then pays only for the parts it uses: a command that lists deployments starts no event
loop. Type checkers see ordinary imports, which stand beside the table in the same file.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["lazily"]


def lazily(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package.

    Args:
        package: Its name.
        names: The public names of each of its modules, by the module's name relative to the
            package. The modules themselves are public too.
    """
    places = {name: f"{package}.{module}" for module, some in names.items() for name in some}
    namespace = vars(sys.modules[package])

    def attribute(name: str) -> Any:
        if name in places:
            value = namespace[name] = getattr(import_module(places[name]), name)
            return value
        if name in names:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def listing() -> list[str]:
        return sorted({*namespace, *places, *(name for name in names if "." not in name)})

    # Importing the module `operation` leaves it in its package under that name. Where the package
    # gives the name to something in the module, that must win, whichever is asked for first.
    twins = {name: _Twin(place) for name, place in places.items() if place == f"{package}.{name}"}
    if twins:
        sys.modules[package].__class__ = type("Package", (ModuleType,), dict(twins))
    return attribute, listing


class _Twin:
    """A public name that is also the name of the module where it is."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, package: ModuleType | None, owner: type) -> Any:
        return getattr(import_module(self._place), self._name)

    def __set__(self, package: ModuleType, value: object) -> None:
        """Take no notice: it is the import system that puts the module here."""
