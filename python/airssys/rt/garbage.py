"""Keeping the garbage collector from walking over a million idle actors.

A full collection visits every tracked object: 11 ms with 10,000 idle actors, 34 ms with 100,000,
368 ms with a million. `gc.freeze` takes what lives out of its sight; then it is about 0.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["bulk_spawn"]


@contextmanager
def bulk_spawn() -> Generator[None, None, None]:
    """Spawn many actors without collections in between, then hide them from the collector.

    What is frozen is never looked at for cycles again, so use this for actors that stay. They are
    still freed when they end: the runtime makes no cycles per message.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        if enabled:
            gc.enable()
