"""Cedar decides the same where the two languages can say the same."""

from __future__ import annotations

import osl_cedar as cedar


def test_cedar_agrees_on_the_common_subset():
    assert cedar.compare(1000, seed=20260101) >= 1000
