"""One suite for the promises of docs/concepts/runtime-semantics.md, in two worlds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from worlds import ComponentWorld, PythonWorld, World

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from airssys.testing import TestSystem
    from airssys.wasm import Component


@pytest.fixture(scope="session")
def puppet() -> Component:
    from airssys.wasm import Engine

    path = Path(__file__).parents[2] / "build" / "components" / "actor-puppet.wasm"
    assert path.is_file(), f"{path} is missing; `make guests` builds it"
    return Engine().load(path)


@pytest.fixture(params=["python", "component"])
def world(
    request: pytest.FixtureRequest,
    system: TestSystem,
    airssys_loop: asyncio.AbstractEventLoop,
) -> Iterator[World]:
    """Actors of one kind: of Python, or made of a component."""
    if request.param == "python":
        yield PythonWorld(system)
        return

    async def make() -> ComponentWorld:
        return ComponentWorld(system, request.getfixturevalue("puppet"))

    made = airssys_loop.run_until_complete(make())
    yield made
    airssys_loop.run_until_complete(made.close())


@pytest.fixture
def components(world: World) -> ComponentWorld:
    """The world of components alone; the test is skipped in the other."""
    if not isinstance(world, ComponentWorld):
        pytest.skip("about components")
    return world
