"""Accesses that guests attempt are records, or counted in one; also when the host is killed."""

from __future__ import annotations

import random

import pytest
from guests_killed import killed_run

from airssys.osl import verify_log


@pytest.mark.parametrize("seed", [1, 2])
def test_what_guests_attempted_is_on_record_when_their_host_is_killed(tmp_path, seed):
    books = killed_run(tmp_path, seed, random.Random(seed).randint(200, 3000))
    assert books.balanced, books
    verify_log(tmp_path / "audit")
