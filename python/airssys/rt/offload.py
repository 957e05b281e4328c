"""Work that would block the loop: in threads, or in processes that can be killed."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
from collections import deque
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Offload"]

P = ParamSpec("P")
T = TypeVar("T")


class Offload:
    """Runs blocking calls for handlers: `await self.system.offload.thread(parse, path)`.

    A call whose handler is cancelled or killed is given up: a process is killed and replaced; a
    thread cannot be stopped from outside, its result is dropped and it is counted.

    Attributes:
        abandoned: Threads that still ran when nobody waited for them any more.
        killed: Processes that were killed.
    """

    def __init__(self, *, threads: int = 32, processes: int | None = None) -> None:
        self.abandoned = 0
        self.killed = 0
        self._threads_limit = threads
        self._threads: ThreadPoolExecutor | None = None
        self._free = asyncio.Semaphore(processes or os.cpu_count() or 1)
        self._executors: deque[ProcessPoolExecutor] = deque()

    async def thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a thread and return its result, or raise what it raised."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._threads_limit, "airssys-offload")
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, functools.partial(function, *args, **kwargs))
        try:
            return await future
        except asyncio.CancelledError:
            self.abandoned += 1
            raise

    async def process(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a process of its own and return its result, or raise what it raised.

        Function, arguments and result must be picklable. On cancel the process is killed.
        """
        async with self._free:
            executor = self._executors.popleft() if self._executors else _worker()
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(executor, functools.partial(function, *args, **kwargs))
            try:
                result = await future
            except asyncio.CancelledError:
                self.killed += 1
                _kill(executor)
                raise
            except BaseException:
                executor.shutdown(wait=False)
                raise
            self._executors.append(executor)
            return result

    def close(self) -> None:
        """Let go of idle threads and processes."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
        while self._executors:
            self._executors.popleft().shutdown(wait=False)


def _worker() -> ProcessPoolExecutor:
    # Forking a process that runs threads is asking for deadlocks.
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _kill(executor: ProcessPoolExecutor) -> None:
    processes = dict(executor._processes or {})
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes.values():
        process.kill()
