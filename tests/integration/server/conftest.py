from __future__ import annotations

from pathlib import Path

import pytest
from serving_process import starter

TEXTS = Path(__file__).parents[3] / "components" / "wat"


@pytest.fixture(scope="session")
def text_guest():
    """The path of a component in text format."""
    return lambda name: TEXTS / f"{name}.wat"


@pytest.fixture
def serve(tmp_path):
    """Start a server on a state directory."""
    start, stop = starter(tmp_path)
    yield start
    stop()


@pytest.fixture
def served(serve, tmp_path):
    """A server of its own on an empty state directory."""
    return serve(tmp_path / "state")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for the tests of a module, which use different deployments."""
    directory = tmp_path_factory.mktemp("shared")
    start, stop = starter(directory)
    yield start(directory / "state")
    stop()
