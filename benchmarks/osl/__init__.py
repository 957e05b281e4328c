"""What the operating-system layer costs: the gate, the log, the chain, and reading a file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.row import Row


def rows(seconds: float) -> Iterator[Row]:
    """Measure everything, each for about `seconds`."""
    from benchmarks.osl import chain, gate, native  # noqa: PLC0415 - the soak needs none of it

    yield from native.rows(seconds)
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary).resolve()
        yield from gate.rows(home, seconds)
        yield from chain.rows(home, seconds)
