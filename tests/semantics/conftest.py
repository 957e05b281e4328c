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


@pytest.fixture
def components(
    system: TestSystem, airssys_loop: asyncio.AbstractEventLoop, puppet: Component
) -> Iterator[ComponentWorld]:
    """The world of components."""

    async def make() -> ComponentWorld:
        return ComponentWorld(system, puppet)

    made = airssys_loop.run_until_complete(make())
    yield made
    airssys_loop.run_until_complete(made.close())


@pytest.fixture(params=["python", "component"])
def world(request: pytest.FixtureRequest, system: TestSystem) -> World:
    """Actors of one kind: of Python, or made of a component."""
    if request.param == "python":
        return PythonWorld(system)
    found: ComponentWorld = request.getfixturevalue("components")
    return found
