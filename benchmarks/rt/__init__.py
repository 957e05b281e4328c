"""What `airssys.rt` costs beside its peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.row import Row


def rows(seconds: float) -> Iterator[Row]:
    """Measure everything; a second is the full number of messages for each row."""
    from benchmarks.rt.measure import measure  # noqa: PLC0415 - the soak needs none of it

    yield from measure(scale=seconds)
