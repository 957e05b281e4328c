"""Component actors: messages, asks, live ones and restarts beside NATS, tokio and `airssys.rt`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.row import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.row import Row


def rows(seconds: float) -> Iterator[Row]:
    """Measure everything; `seconds` is about the time for each row."""
    try:
        from benchmarks.actors import beside, live, messages, plane  # noqa: PLC0415 - may be missing
    except ImportError as missing:
        raise UnavailableError(f"{missing}; `make setup` builds and installs it") from missing
    yield from messages.rows(seconds)
    yield from beside.rows(seconds)
    yield from plane.rows()
    yield from live.rows()
