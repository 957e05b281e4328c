"""Loading components."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from airssys.wasm._native import _core
from airssys.wasm.component import Component
from airssys.wasm.component_file import named, read_component
from airssys.wasm.errors import InvalidComponent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Engine", "default_cache"]

_log: Final = logging.getLogger("airssys.wasm")


def default_cache() -> Path:
    """Return where compiled code is kept unless told otherwise."""
    return Path(platformdirs.user_cache_dir("airssys")) / "compiled"


def _ignore(_phase: str) -> None:
    """Take progress when nobody asked for it."""


class Engine:
    """Loads components. The engines behind it belong to the process, so making one is cheap.

    Args:
        cache: Folder for compiled code, made when missing; None keeps none. Its entries are
            authenticated with a key of this user.

    Raises:
        OSError: If the folder cannot be used.
    """

    __slots__ = ("_native",)

    def __init__(self, cache: str | os.PathLike[str] | None = default_cache()) -> None:  # noqa: B008
        self._native = _core.Engine(None if cache is None else os.fspath(cache))

    def load(
        self,
        source: str | os.PathLike[str] | bytes | bytearray | memoryview,
        *,
        in_process: bool = False,
        static_limits: Mapping[str, int] | None = None,
        progress: Callable[[str], object] | None = None,
        given_up: Callable[[], bool] | None = None,
    ) -> Component:
        """Check a component and compile it, or take its compiled code from the cache.

        The interpreter runs other threads meanwhile. Components above 1 MiB are compiled in a child
        process with bounds of its own, which Ctrl-C ends.

        Args:
            source: A path, or the component itself, in binary or text format.
            in_process: Compile here whatever the size; for components that are trusted.
            static_limits: Other bounds on what is compiled: `bytes functions imports exports types
                memories tables data_bytes modules nesting`.
            progress: Called with the name of each phase as it begins.
            given_up: Asked every 50 ms while a child process compiles, in this thread; true kills
                it, which raises `CompileError`.

        Raises:
            OSError: If the file cannot be read.
            InvalidComponent: If it is not a component, or a broken one.
            ComponentTooLarge: If it exceeds a static limit.
            CompileError: If the compiling process was stopped.
        """
        if isinstance(source, (bytes, bytearray, memoryview)):
            data = bytes(source)
            name = f"{len(data)} bytes"
        else:
            name = os.fspath(source)
            data = read_component(source)
        try:
            native = self._native.load(
                data,
                in_process=in_process,
                static_limits=dict(static_limits) if static_limits else None,
                progress=progress or _ignore,
                report=lambda text: _log.warning("compiled code was not used: %s", text),
                given_up=given_up,
            )
        except Exception as error:
            if isinstance(error, InvalidComponent) and not isinstance(
                source, (bytes, bytearray, memoryview)
            ):
                raise named(error, source) from None
            error.add_note(f"while loading {name}")
            raise
        return Component(native)
