from __future__ import annotations

from pathlib import Path

import pytest

COMPONENTS = Path(__file__).parents[3] / "build" / "components"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture(scope="session")
def guest():
    """The path of a built component of `components/`."""

    def path(name: str) -> Path:
        found = COMPONENTS / f"{name}.wasm"
        assert found.is_file(), f"{found} is missing; `make guests` builds it"
        return found

    return path
