from __future__ import annotations

from pathlib import Path

import pytest

COMPONENTS = Path(__file__).parents[3] / "build" / "components"


def pytest_collection_modifyitems(items):
    """Real time: guests of these tests work on threads that virtual time would not wait for."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.real_loop)


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
