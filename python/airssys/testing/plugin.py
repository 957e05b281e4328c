"""The pytest plugin: coroutine tests on virtual time, and the `system` fixture.

A failing test prints its seed; `--airssys-seed=N` replays it. `@pytest.mark.real_loop` runs a
coroutine test on an ordinary event loop, for sockets and subprocesses.
"""

# pyright: reportPrivateUsage=false
# What is tested is looked into.

from __future__ import annotations

import asyncio
import inspect
import zlib
from typing import TYPE_CHECKING, Any, cast

import pytest

from airssys.testing.clock import VirtualLoop
from airssys.testing.system import TestSystem

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["airssys_loop", "airssys_seed", "system"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--airssys-seed`."""
    parser.getgroup("airssys").addoption(
        "--airssys-seed",
        type=int,
        default=None,
        help="seed of the actor scheduler; by default made from the name of the test",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks."""
    config.addinivalue_line("markers", "real_loop: run on an ordinary event loop, in real time")
    config.addinivalue_line("markers", "seed(n): schedule actors in the order of this seed")
    config.addinivalue_line("markers", "in_order: schedule actors first come first served")


@pytest.fixture
def airssys_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test's scheduler."""
    given = request.config.getoption("--airssys-seed")
    if given is not None:
        return int(given)
    mark = request.node.get_closest_marker("seed")
    if mark is not None:
        return int(mark.args[0])
    return zlib.crc32(request.node.nodeid.encode()) & 0xFFFF


@pytest.fixture
def airssys_loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    """The event loop of this test; virtual unless marked `real_loop`."""
    real = request.node.get_closest_marker("real_loop") is not None
    loop: asyncio.AbstractEventLoop = asyncio.new_event_loop() if real else VirtualLoop()
    try:
        yield loop
    finally:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        if pending:
            loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@pytest.fixture
def system(
    request: pytest.FixtureRequest, airssys_loop: asyncio.AbstractEventLoop, airssys_seed: int
) -> Iterator[TestSystem]:
    """A `TestSystem`; fails the test on leaks, lost messages and dead letters not looked at."""

    async def make() -> TestSystem:
        shuffle = request.node.get_closest_marker("in_order") is None
        return TestSystem(seed=airssys_seed, shuffle=shuffle)

    made = airssys_loop.run_until_complete(make())
    yield made
    made.assert_conserved()
    unexpected = made.dead_letters.unexpected
    airssys_loop.run_until_complete(made.shutdown())
    problems = made.leaking()
    problems += [
        f"dead letter ({letter.reason}) for {letter.target}: {letter.message!r} {letter.error!r}"
        for letter in unexpected
    ]
    problems += [f"a subscriber failed: {error!r}" for error in made.events.errors]
    if problems:
        pytest.fail("the actor system was not clean:\n  " + "\n  ".join(problems), pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run coroutine tests on the loop of the test."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments: dict[str, Any] = {
        name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames
    }
    loop = cast("asyncio.AbstractEventLoop", pyfuncitem.funcargs["airssys_loop"])
    loop.run_until_complete(pyfuncitem.obj(**arguments))
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every coroutine test a loop."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            names = item.fixturenames
            if "airssys_loop" not in names:
                names.insert(0, "airssys_loop")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Print the seed of a failing test."""
    outcome = yield
    report = outcome.get_result()
    if report.failed and isinstance(item, pytest.Function):
        seed = item.funcargs.get("airssys_seed")
        if seed is not None:
            report.sections.append(("airssys", f"replay with --airssys-seed={seed}"))
