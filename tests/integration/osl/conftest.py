"""What the tests of the operating-system layer share."""

from __future__ import annotations

import asyncio

import pytest
from osl_world import World

from airssys.osl import Principal


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path.resolve())
    yield made
    made.close()


@pytest.fixture
def alice():
    return Principal("alice")


@pytest.fixture
def act(alice):
    """Run an async function as alice on a pipeline."""

    def run(system, function, principal=alice, **options):
        async def inside():
            with system.acting_as(principal, **options):
                return await function()

        return asyncio.run(inside())

    return run
