"""An event loop in a thread, for callers that have none."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from airssys.osl.errors import OslError

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["portal"]

T = TypeVar("T")


class _Portal:
    """Started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end on the loop, in the context of the caller.

        Raises:
            OslError: A loop runs on this very thread, which would stand still meanwhile.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            work.close()
            raise OslError(
                "a blocking operation was called on a running event loop; "
                "await the function of the same name in airssys.osl",
                code="would-block-loop",
            )
        loop = self.loop()
        context = contextvars.copy_context()

        async def inside() -> T:
            return await asyncio.get_running_loop().create_task(work, context=context)

        future = asyncio.run_coroutine_threadsafe(inside(), loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop, which runs."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=loop.run_forever, name="airssys-osl-sync", daemon=True
                )
                self._thread.start()
                self._loop = loop
            assert self._loop is not None  # noqa: S101 - made together with the thread
            return self._loop

    def stop(self) -> None:
        """End the thread, if there is one."""
        with self._lock:
            if self._loop is not None and self._thread is not None and self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
            self._loop = self._thread = None


portal = _Portal()
atexit.register(portal.stop)
