"""Threads that look at something from time to time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Background"]


class Background:
    """A thread that runs until it is closed.

    Args:
        name: The thread's.
        run: Runs until it is told that it is over; it ends by itself where what it holds weakly is
            gone, so that whoever forgets to close it loses nothing.
        arguments: What it is called with, before the event that tells that it is over.
    """

    def __init__(self, name: str, run: Callable[..., None], *arguments: object) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=run, args=(*arguments, self._over), name=name, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End it; returns when it has ended."""
        self._over.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
