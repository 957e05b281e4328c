"""Notices what other processes write into the database of a running host."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING

from airssys.wasm.background import Background

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from airssys.wasm.registry import Registry

__all__ = ["RegistryWatch"]

_log = logging.getLogger("airssys.wasm")

# Seconds between two looks. A look is one pragma, which reads shared memory.
_INTERVAL = 0.2
_AFTER_FAILURE = 5.0


class RegistryWatch(Background):
    """Calls back on a thread of its own after another process changed the database.

    It holds no host: one that is forgotten without being closed ends its watch.

    Args:
        registry: The open registry of the state directory.
        changed: A method of what is to be told; held weakly.
    """

    def __init__(self, registry: Registry, changed: Callable[[], None]) -> None:
        whose = weakref.ref(registry), weakref.WeakMethod(changed)
        super().__init__("airssys-registry-watch", _watch, *whose)


def _watch(
    registry_of: weakref.ref[Registry],
    changed_of: weakref.WeakMethod[Callable[[], None]],
    over: threading.Event,
) -> None:
    seen: int | None = None
    wait = _INTERVAL
    while not over.wait(wait):
        registry, changed = registry_of(), changed_of()
        if registry is None or changed is None:
            return
        try:
            version = registry.changes_by_others()
            # What came before the first look was not seen by whoever opened the database either.
            if version != seen:
                changed()
            seen, wait = version, _INTERVAL
        except Exception:  # noqa: BLE001 - reported, and tried again: it must not stay unnoticed
            _log.exception("what other processes changed in the state directory cannot be read")
            wait = _AFTER_FAILURE
        del registry, changed
