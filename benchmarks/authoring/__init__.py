"""What stands between a source and its first answer, beside starting a process on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.row import Row


def rows(seconds: float) -> Iterator[Row]:
    """Measure everything; what answers at once for about twice `seconds`."""
    # Listing the suites needs none of them.
    from benchmarks.authoring import answers, first, saves  # noqa: PLC0415

    yield from answers.rows(2 * seconds)
    yield from saves.rows()
    yield from first.rows()
