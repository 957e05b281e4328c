from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from deputy_world import COMPONENTS, Deputies

from airssys.wasm import Engine


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="session")
def puppet():
    return Engine().load(COMPONENTS / "actor-puppet.wasm")


@pytest.fixture
async def deputies(tmp_path, puppet):
    """A message plane whose actors, all puppets, stand before one gate with one log."""
    made = Deputies(tmp_path, puppet)
    made.open()
    yield made
    made.close()
