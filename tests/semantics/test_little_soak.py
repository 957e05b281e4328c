"""A little of the soak of component actors, seeded, on virtual time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from benchmarks.actors.soak import soak

if TYPE_CHECKING:
    from airssys.testing import TestSystem
    from airssys.wasm import Component


@pytest.mark.seed(7)
async def test_a_little_of_the_soak(system: TestSystem, puppet: Component) -> None:
    logging.getLogger("airssys.rt").setLevel(logging.CRITICAL)
    try:
        outcome = await soak(system, puppet, messages=20_000, actors=20, seed=7)
    finally:
        logging.getLogger("airssys.rt").setLevel(logging.NOTSET)
    assert outcome.accepted >= 20_000
    assert outcome.traps + outcome.kills > 0
    assert outcome.restarts >= outcome.traps
    system.dead_letters.ignore()
