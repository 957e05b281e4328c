"""Guests that wait for changes of storage: one comes, the time runs out, the wait is ended."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airssys.rt import RequestDropped
from airssys.wasm import Host, LimitExceeded, Limits
from airssys.wasm.actors import ActorSettings

COMPONENTS = Path(__file__).parents[3] / "build" / "components"
#: Milliseconds that no test waits for.
LONG = 600_000


@pytest.fixture(params=["call", "pooled"])
def lifetime(request):
    return request.param


def deploy(host, key_value, lifetime, **options):
    """Deploy the guest with one instance at a time, so that a second call needs the first's end."""
    return host.deploy(
        key_value, grant="requested", name="acme/store", lifetime=lifetime, instances=1, **options
    )


def test_a_guest_that_waits_is_told_of_what_the_host_sets(state, key_value, lifetime):
    with Host.open_blocking(state) as host, ThreadPoolExecutor(1) as thread:
        store = deploy(host, key_value, lifetime)
        seen = store.storage.watch()
        told = thread.submit(store.api.watch_for, "w/", LONG)
        assert next(seen).key == "watching"
        store.storage.set("elsewhere", b"")
        store.storage.set("w/1", b"")
        assert told.result(60) == ["Change::Set w/1"]


def test_a_wait_in_which_nothing_comes_ends_with_nothing(state, key_value, lifetime):
    with Host.open_blocking(state) as host:
        store = deploy(host, key_value, lifetime)
        assert store.api.watch_for("w/", 1) == []


def test_a_wait_longer_than_a_call_may_take_is_the_end_of_the_call(state, key_value, lifetime):
    with Host.open_blocking(state) as host:
        store = deploy(host, key_value, lifetime, limits=Limits(call_timeout=0.05))
        with pytest.raises(LimitExceeded, match="call_timeout"):
            store.api.watch_for("w/", LONG)
        assert store.api.watch_for("w/", 1) == []


@pytest.mark.anyio
async def test_a_wait_ends_with_the_call_that_waits(state, key_value, lifetime):
    async with Host.open(state) as host:
        store = await deploy(host, key_value, lifetime)
        seen = await store.storage.watch()
        waiting = asyncio.create_task(store.api.watch_for("w/", LONG))
        assert (await anext(seen)).key == "watching"
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await store.api.watch_for("w/", 1) == []


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["told", "time", "stop", "kill"])
async def test_an_actor_waits_for_changes(state, how):
    async with Host.open(state) as host:
        deployment = await host.deploy(
            COMPONENTS / "storing-actor.wasm",
            name="acme/count",
            lifetime="actor",
            actor=ActorSettings(codec="json", shutdown=0.05),
            capabilities={"storage": [{"namespace": "self", "access": ["read", "write", "list"]}]},
            grant="requested",
        )
        ref = await deployment.start()
        assert await ref.ask(["", 0]) == []
        if how == "time":
            assert await ref.ask(["", 1]) == []
            return
        waiting = asyncio.ensure_future(ref.ask(["", LONG], 60.0))
        while not host.system.inspect(ref).books.in_flight:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0)
        if how == "told":
            await deployment.storage.set("a", b"")
            assert await waiting == ["Change::Set a"]
            return
        await getattr(ref, how)()
        with pytest.raises(RequestDropped):
            await waiting
        assert await (await deployment.start()).ask(1) == 1
