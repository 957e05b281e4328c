from __future__ import annotations

import queue
from pathlib import Path

import pytest

COMPONENTS = Path(__file__).parents[3] / "build" / "components"


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


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture(scope="session")
def guest():
    """The path of a built component of `components/`."""

    def path(name: str) -> Path:
        found = COMPONENTS / f"{name}.wasm"
        assert found.is_file(), f"{found} is missing; `make guests` builds it"
        return found

    return path
