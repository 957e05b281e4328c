"""What HTTP costs: a fresh instance for each request, beside `wasmtime serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.row import Row


def rows(seconds: float) -> Iterator[Row]:
    """Measure everything, each for about ten times `seconds`."""
    from benchmarks.http import hello  # noqa: PLC0415 - listing the suites needs none of it

    yield from hello.rows(10 * seconds)
