"""Waits for changes of storage go by the actors' clock, and end with the incarnation that waits."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airssys.rt import PERMANENT, RequestDropped
from airssys.wasm import Engine, Limits, Wasi
from airssys.wasm.actors import ComponentChild
from airssys.wasm.storage_blocking import BlockingStorage
from airssys.wasm.storage_holder import StorageHolder, StorageSettings
from airssys.wasm.storage_records import StorageQuota

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from worlds import ComponentWorld

    from airssys.rt import Ref

    Keepers = Callable[[str], Coroutine[Any, Any, Ref[Any]]]

STORING = Path(__file__).parents[2] / "build" / "components" / "storing-actor.wasm"


@pytest.fixture
def storing(components: ComponentWorld) -> Iterator[Keepers]:
    """Starts actors that share one namespace."""
    holder = StorageHolder(None, StorageSettings(in_memory=True))
    quota = StorageQuota.of(Limits())
    namespace = BlockingStorage(holder, lambda _name: quota).namespace("test/stored")
    wasi = Wasi(storage=namespace, keys=["self", "self/**"]).native
    component = Engine().load(STORING)._native

    async def start(name: str) -> Ref[Any]:
        site = components.site(f"test/{name}")
        site.make = dataclasses.replace(site.make, component=component, wasi=wasi)
        spec = ComponentChild(name, site, restart=PERMANENT)
        return await components.system.start_child(components.system._root, spec)

    yield start
    holder.close()


async def test_what_another_actor_sets_ends_a_wait(
    components: ComponentWorld, storing: Keepers
) -> None:
    watcher, writer = await storing("watcher"), await storing("writer")
    waiting = asyncio.ensure_future(watcher.ask(["", 25_000], 60.0))
    await asyncio.sleep(20.0)
    assert not waiting.done()
    assert await writer.ask(5) == 5
    before = components.system.now
    assert await waiting == ["Change::Set count"]
    assert components.system.now == before


async def test_a_wait_in_which_nothing_comes_ends_at_its_time(
    components: ComponentWorld, storing: Keepers
) -> None:
    watcher = await storing("watcher")
    before = components.system.now
    assert await watcher.ask(["", 20_000], 60.0) == []
    assert components.system.now == before + 20.0


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_wait_ends_with_the_actor_that_waits(
    components: ComponentWorld, storing: Keepers, how: str
) -> None:
    watcher = await storing("watcher")
    waiting = asyncio.ensure_future(watcher.ask(["", 20_000], 60.0))
    await components.system.settle()
    before = components.system.now
    if how == "stop":
        assert (await watcher.stop(timeout=2.0)).kind == "killed"  # as for any handler
        assert components.system.now == before + 2.0
    else:
        assert (await watcher.kill()).kind == "killed"
        assert components.system.now == before
        assert await watcher.ask(1) == 1  # the next incarnation does not wait for anything
    with pytest.raises(RequestDropped):
        await waiting
    components.system.dead_letters.ignore()
