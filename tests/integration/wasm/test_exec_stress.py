"""Random steps of many threads at once; `make soak` takes many more."""

from __future__ import annotations

import pytest
from benchmarks.wasm.turmoil import Turmoil


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_to_calls_nothing_is_lost_and_nothing_left_behind(seed) -> None:
    turmoil = Turmoil(seed, threads=8, steps=25)
    assert turmoil.run() == []
    assert sum(turmoil.happened.values()) == 8 * 25
