"""One percent of the soak, seeded, on virtual time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from benchmarks.rt.soak import soak

if TYPE_CHECKING:
    from airssys.testing import TestSystem


@pytest.mark.seed(7)
async def test_one_percent_of_the_soak(system: TestSystem) -> None:
    logging.getLogger("airssys.rt").setLevel(logging.CRITICAL)
    try:
        outcome = await soak(system, 100_000, seed=7)
    finally:
        logging.getLogger("airssys.rt").setLevel(logging.NOTSET)
    assert outcome.accepted >= 100_000
    assert outcome.crashes > 50
    assert outcome.dead["failed"] == outcome.crashes
    system.dead_letters.ignore()
