"""The components of the tests of delivery, which behave as a rollout may meet them."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parents[2] / "tests" / "integration"
sys.path[:0] = [str(TESTS / "delivery"), str(TESTS / "server")]

from delivery_guests import adder  # noqa: E402 - found by the line above
from rollback_states import STATES  # noqa: E402
from serving_process import starter  # noqa: E402

__all__ = ["STATES", "adder", "starter"]
