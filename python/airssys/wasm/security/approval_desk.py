"""Asks people for a host: by its own callback, and by the command line of whoever looks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from typing import TYPE_CHECKING

from airssys.wasm.host_errors import HostError
from airssys.wasm.security.approval_records import ApprovalRecords

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from airssys.osl import ApprovalRequest, Approver
    from airssys.wasm.registry import Registry

__all__ = ["ApprovalDesk"]

_log = logging.getLogger("airssys.wasm")


class ApprovalDesk:
    """The approver of a host: whoever answers first, the callback or the command line.

    Args:
        registry: The open registry of the state directory.
        timeout: Seconds for which a question waits.
        approver: The callback of the program, if it has one.
    """

    def __init__(self, registry: Registry, timeout: float, approver: Approver | None) -> None:
        self._records = ApprovalRecords(registry)
        self._timeout = timeout
        self._approver = approver
        # Held while the following is read or written, by event loops and by whoever looks.
        self._table = threading.Lock()
        self._waiting: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Future[str | None]]] = {}
        # A restart refuses what waited.
        self._records.end_all()

    async def __call__(self, request: ApprovalRequest) -> str | None:
        """Return who approves, or None where somebody refuses; waits until cancelled."""
        number = await asyncio.to_thread(self._records.ask, request, self._timeout)
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[str | None] = loop.create_future()
        with self._table:
            self._waiting[number] = (loop, answered)
        try:
            if self._approver is None:
                return await answered
            return await _first(self._approver(request), answered)
        finally:
            with self._table:
                del self._waiting[number]
            # Not awaited: what is cancelled at the timeout must be recorded as ended all the same.
            loop.run_in_executor(None, self._end, number)

    def _end(self, number: int) -> None:
        try:
            self._records.end(number)
        except (HostError, sqlite3.Error) as error:
            # The host is closing, or its disk is full; whoever opens it next ends the question.
            _log.warning("the end of question %d is not recorded: %s", number, error)

    def look(self) -> None:
        """Take the answers that another process recorded; on any thread."""
        with self._table:
            if not self._waiting:
                return
            answers = self._records.answers(self._waiting.keys())
            for number, (answer, who) in answers.items():
                loop, answered = self._waiting[number]
                with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
                    loop.call_soon_threadsafe(
                        _settle, answered, who if answer == "approve" else None
                    )


async def _first(
    callback: Awaitable[str | None], answered: asyncio.Future[str | None]
) -> str | None:
    """Return what the first of the two says; the callback is cancelled when it is late."""
    calling = asyncio.ensure_future(callback)
    try:
        done, _ = await asyncio.wait({calling, answered}, return_when=asyncio.FIRST_COMPLETED)
        return (calling if calling in done else answered).result()
    finally:
        calling.cancel()


def _settle(future: asyncio.Future[str | None], value: str | None) -> None:
    if not future.done():
        future.set_result(value)
