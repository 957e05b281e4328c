from __future__ import annotations

import queue

import pytest


class Sink:
    """The import of the faulty guest; `pull` gives what was asked for."""

    def push(self, data: bytes) -> None:
        """Take it."""

    def pull(self, size: int) -> bytes:
        return bytes(size)


PROVIDES = {"demo:faults/sink": Sink()}


class Notices:
    """The notices of limits that a host passes on, as they come."""

    def __init__(self) -> None:
        self._told: queue.Queue = queue.Queue()

    def __call__(self, notice) -> None:
        self._told.put(notice)

    def next(self, kind, limit):
        """The next one of this kind about this limit."""
        while True:
            notice = self._told.get(timeout=20)
            if (notice.kind, notice.limit) == (kind, limit):
                return notice

    def rest(self):
        """All that came and were not taken."""
        return [self._told.get() for _ in range(self._told.qsize())]


@pytest.fixture
def notices():
    return Notices()


@pytest.fixture
def provides():
    return PROVIDES
