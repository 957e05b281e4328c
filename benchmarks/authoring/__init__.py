"""What stands between a source and its first answer, beside starting a process on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.row import Row


def rows(seconds: float) -> Iterator[Row]:
    """Measure everything, each for about twice `seconds`."""
    from benchmarks.authoring import answers  # noqa: PLC0415 - listing the suites needs none of it

    yield from answers.rows(2 * seconds)
