"""The functions of a deployment as attributes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from airssys.wasm.host_errors import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Api"]


class Api:
    """The exported functions of a deployment's live revision.

    `api.add` is the function `add`; `api.mean_value` is `mean-value`. A function of an interface is
    found by its own name where only one interface has it, and always as `api["demo:calc/ops"].add`.

    Args:
        call: Calls a function by its path.
        exports: The paths of the live revision's functions.
        interface: The interface that the attributes belong to, or None for all.
    """

    __slots__ = ("_call", "_exports", "_found", "_interface")

    def __init__(
        self,
        call: Callable[..., Any],
        exports: list[str],
        interface: str | None = None,
    ) -> None:
        self._call = call
        self._exports = exports
        self._interface = interface
        self._found: dict[str, Callable[..., Any]] = {}

    def __getitem__(self, interface: str) -> Api:
        """Return the functions of one interface, named with or without its version."""
        return Api(self._call, self._exports, interface)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return the function of this name.

        Raises:
            AttributeError: There is none, or several interfaces have one.
        """
        function = self._found.get(name)
        if function is None:
            function = self._found[name] = functools.partial(self._call, self._path(name))
        return function

    def __dir__(self) -> list[str]:
        return sorted({own.replace("-", "_") for own, _ in self._paths()})

    def _path(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        paths = self._paths()
        found = [path for own, path in paths if own in {name, name.replace("_", "-")}]
        # A function of the world itself comes before those of interfaces.
        of_world = [path for path in found if "#" not in path]
        if len(of_world or found) == 1:
            return (of_world or found)[0]
        if found:
            raise AttributeError(
                f"several interfaces have '{name}': {', '.join(found)}; index by one"
            )
        near = nearest(name.replace("_", "-"), [own for own, _ in paths])
        hint = f"did you mean {' or '.join(near)}?" if near else f"there is {', '.join(dir(self))}"
        raise AttributeError(f"the deployment has no function '{name}'; {hint}")

    def _paths(self) -> list[tuple[str, str]]:
        pairs = []
        for path in self._exports:
            interface, separator, own = path.rpartition("#")
            if self._interface is None or (
                separator and self._interface in {interface, interface.partition("@")[0]}
            ):
                pairs.append((own, path))
        return pairs
