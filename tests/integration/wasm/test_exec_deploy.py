"""What deploying holds on to, and for how long: the compiling child, counts of old revisions."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from airssys.wasm import CompileError, Engine, Host, HostClosed

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = Path(__file__).parents[3] / "components" / "wat"


@functools.cache
def large(salt: int) -> bytes:
    """Return a component that is compiled in a child process, another one for each salt."""
    body = f"(i32.add (local.get 0) (i32.const {os.getpid() * 1000 + salt}))"
    for _ in range(9):
        body = f"(i32.mul {body} {body})"
    functions = f"(func (param i32) (result i32) {body})" * 300
    return f"(component (core module {functions}))".encode()


@pytest.fixture
def children() -> Iterator[Children]:
    found = Children()
    yield found
    for child in found.all():
        child.kill()


class Children:
    """The child processes that this one has from now on."""

    def __init__(self) -> None:
        self._before = {child.pid for child in psutil.Process().children(recursive=True)}

    def all(self) -> list[psutil.Process]:
        found = psutil.Process().children(recursive=True)
        return [child for child in found if child.pid not in self._before]

    def stop_the_compiler(self) -> psutil.Process | None:
        """Stop the compiling child once there is one, so that it never ends by itself.

        Whoever starts a process waits for it to become another program; before that it is left be.
        """
        for child in self.all():
            with contextlib.suppress(psutil.NoSuchProcess):  # it may just have ended
                if child.cmdline()[-1:] == ["plain"]:
                    child.send_signal(signal.SIGSTOP)
                    return child
        return None

    async def stopped_compiler(self) -> psutil.Process:
        """Wait for the compiling child and stop it."""
        while (child := self.stop_the_compiler()) is None:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        return child


def test_cancelling_a_deploy_kills_the_compiling_child(tmp_path, children) -> None:
    async def main() -> None:
        async with Host.open(tmp_path / "state") as host:
            task = asyncio.create_task(host.deploy(large(1), name="demo/large"))
            child = await children.stopped_compiler()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(child.wait, 30)
            assert host.deployments() == ()
            small = TEXTS / "minimal.wat"
            deployment = await host.deploy(small, name="demo/large")
            assert [each.number for each in deployment.history()] == [1], "nothing was recorded"
        blobs = [each for each in (tmp_path / "state" / "blobs").rglob("*") if each.is_file()]
        assert len(blobs) == 1

    asyncio.run(main())


def test_closing_the_host_kills_the_compiling_child(tmp_path, children) -> None:
    async def main() -> None:
        async with Host.open(tmp_path / "state") as host:
            task = asyncio.create_task(host.deploy(large(2), name="demo/large"))
            child = await children.stopped_compiler()
            await host.close()
            with pytest.raises(HostClosed):
                await task
            assert not child.is_running()

    asyncio.run(main())


def test_a_load_that_is_given_up(children) -> None:
    asked = []

    def given_up() -> bool:
        if children.stop_the_compiler() is not None:
            asked.append(True)
        return len(asked) == 3

    with pytest.raises(CompileError, match="interrupted"):
        Engine(cache=None).load(large(3), given_up=given_up)
    assert children.all() == []

    def broken() -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Engine(cache=None).load(large(3), given_up=broken)
    assert children.all() == []


def test_revisions_that_went_cold_keep_their_totals(tmp_path) -> None:
    source = (TEXTS / "call-back.wat").read_bytes()

    def revision(number: int) -> bytes:
        return source + f"\n;; {number}\n".encode()

    provides = {"demo:wat/host": {"back": lambda depth: depth}}
    with Host.open_blocking(tmp_path, provides=provides) as host:
        settings = {"name": "demo/counted", "keep": 1}
        deployment = host.deploy(revision(1), **settings)
        for depth in range(10):
            assert deployment.call("enter", depth) == depth + 1
        before = deployment.statistics().revisions[0]
        assert before.p99 >= before.p50 > 0
        for number in range(2, 5):
            host.deploy(revision(number), **settings)
        assert deployment.statistics().revisions[0] == before, "cold since revision 3"
        deployment.rollback(to=1)
        assert deployment.statistics().revisions[0] == before
        deployment.call("enter", 1)
        after = deployment.statistics().revisions[0]
        assert (after.calls, after.host_calls) == (11, 11)
        assert after.p50 > 0
