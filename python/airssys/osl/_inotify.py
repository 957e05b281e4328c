"""Inotify on an event loop."""

from __future__ import annotations

import asyncio
import os
import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Self

from airssys.osl._native import inotify_add, inotify_create

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Inotify", "Mask", "RawEvent"]

_HEADER = struct.Struct("iIII")
_BUFFER = 1 << 16


class Mask(IntFlag):
    """Bits of `inotify(7)`."""

    MODIFY = 0x2
    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    OVERFLOW = 0x4000
    IGNORED = 0x8000


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One event; `name` is empty when it is about the watched object itself."""

    directory: str
    name: str
    mask: Mask
    cookie: int

    @property
    def overflow(self) -> bool:
        """Whether the kernel dropped events before this one."""
        return bool(self.mask & Mask.OVERFLOW)


class Inotify:
    """Batches of events as an async iterator; one consumer."""

    def __init__(self) -> None:
        self._descriptor = inotify_create()
        self._names: dict[int, str] = {}
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None

    def add(self, descriptor: int, name: str, mask: Mask) -> None:
        """Watch what a descriptor refers to."""
        self._names[inotify_add(self._descriptor, descriptor, int(mask))] = name

    def fail(self, error: BaseException) -> None:
        """End the iteration with an error, waking a consumer that waits."""
        self._error = error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.get_loop().call_soon_threadsafe(_wake, self._waiter)

    def close(self) -> None:
        """Close the descriptor and end the iteration, also of a consumer that waits."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        if self._waiter is not None:
            # While the loop still looks at it, the number must not become another file's.
            self._waiter.get_loop().remove_reader(descriptor)
            _wake(self._waiter)
        os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[RawEvent]:
        """Wait for events."""
        loop = asyncio.get_running_loop()
        while True:
            if self._error is not None:
                raise self._error
            if self._descriptor < 0:
                raise StopAsyncIteration
            try:
                return self._parse(os.read(self._descriptor, _BUFFER))
            except BlockingIOError:
                pass
            self._waiter = loop.create_future()
            loop.add_reader(self._descriptor, _wake, self._waiter)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if self._descriptor >= 0:
                    loop.remove_reader(self._descriptor)

    def _parse(self, data: bytes) -> list[RawEvent]:
        events = []
        offset = 0
        while offset < len(data):
            watch, mask, cookie, length = _HEADER.unpack_from(data, offset)
            offset += _HEADER.size
            name = os.fsdecode(data[offset : offset + length].rstrip(b"\0"))
            offset += length
            events.append(RawEvent(self._names.get(watch, ""), name, Mask(mask), cookie))
        return events


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
