from __future__ import annotations

import sys
from pathlib import Path

import pytest

from airssys.wasm import Host

# The components of rollouts, in text.
sys.path.insert(0, str(Path(__file__).parent.parent / "delivery"))


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def host(state):
    with Host.open_blocking(state) as opened:
        yield opened
