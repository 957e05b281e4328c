"""The pytest plugin for authors of components: the fixtures `component`, `host` and `actor`.

A project is found by the `Component.toml` at or above a test. Its component is built when its
sources have changed, once for a run of pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airssys.testing.components import ComponentUnderTest
    from airssys.wasm import BlockingHost
    from airssys.wasm.actors.blocking_actor import BlockingActor

__all__ = ["actor", "component", "component_file", "host"]


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line(
        "markers",
        "component(grant, config, mounts, environment, provides): how the component under test is "
        "deployed, as `airssys.testing.components.component_under_test` takes it",
    )


@pytest.fixture(scope="module")
def component_file(request: pytest.FixtureRequest) -> Path:
    """The file of the component of this project, built when its sources have changed."""
    from airssys.authoring import build, find_project  # noqa: PLC0415 - costs who uses it

    return build(find_project(request.path.parent)).component


@pytest.fixture
def component(request: pytest.FixtureRequest, component_file: Path) -> Iterator[ComponentUnderTest]:
    """The component of this project, deployed in a host of its own for one test."""
    from airssys.testing.components import component_under_test  # noqa: PLC0415

    mark = request.node.get_closest_marker("component")
    with component_under_test(component_file, **({} if mark is None else mark.kwargs)) as found:
        yield found


@pytest.fixture
def host(component: ComponentUnderTest) -> BlockingHost:
    """The host of the component under test."""
    return component.host


@pytest.fixture
def actor(component: ComponentUnderTest) -> BlockingActor:
    """The main actor of the component under test."""
    return component.actor()
