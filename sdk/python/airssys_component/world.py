"""The world of the component: the bindings that were made of it."""

from __future__ import annotations

import importlib
from typing import Any

from airssys_component.errors import Unavailable

__all__ = ["imported", "types"]


def imported(name: str, interface: str) -> Any:
    """Return the bindings of an interface that the world imports.

    Args:
        name: Its module: `messaging`.
        interface: Its name in WIT, for whoever forgot to import it.

    Raises:
        Unavailable: The world does not import it.
    """
    try:
        return importlib.import_module(f"wit_world.imports.{name}")
    except ImportError:
        raise Unavailable(
            f"the world does not import {interface}; add it to wit/world.wit"
        ) from None


def types(package: str = "airssys_core") -> Any:
    """Return the bindings of the interface `types` of a package.

    Several packages have an interface of this name; the bindings then carry their packages' names.
    """
    try:
        return importlib.import_module(f"wit_world.imports.{package}_types")
    except ImportError:
        return imported("types", f"{package.replace('_', ':')}/types")
