"""The echo guest, loaded once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airssys.wasm import Engine

if TYPE_CHECKING:
    from airssys.wasm import Component, Instance

GUESTS = Path(__file__).parents[3] / "build" / "components"


@pytest.fixture(scope="session")
def echo_component() -> Component:
    return Engine(cache=None).load(GUESTS / "echo.wasm")


@pytest.fixture(scope="session")
def echo(echo_component: Component) -> Instance:
    return echo_component.instantiate()
