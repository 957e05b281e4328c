"""Component actors have the storage of their deployment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from airssys.rt import ActorFailed
from airssys.wasm import Host
from airssys.wasm.actors import ActorSettings

pytestmark = pytest.mark.anyio

STORING = Path(__file__).parents[3] / "build" / "components" / "storing-actor.wasm"


async def test_what_an_actor_stores_survives_its_crash_and_its_host(state):
    settings = ActorSettings(codec="json")
    async with Host.open(state) as host:
        actor = await host.deploy(
            STORING,
            name="acme/count",
            lifetime="actor",
            actor=settings,
            capabilities={"storage": [{"namespace": "self", "access": ["read", "write"]}]},
            grant="requested",
        )
        ref = actor.actor()
        assert await ref.ask(40) == 40
        assert await actor.storage.get("count") == b"40"
        with pytest.raises(ActorFailed):
            await ref.ask(0)
        assert await ref.ask(1) == 41
        # All keys of a deployment share its storage, one message at a time each.
        other = await actor.start("other")
        assert await other.ask(1) == 42
        await asyncio.gather(*(ref.ask(1, timeout=10) for _ in range(20)))
        assert await actor.storage.get("count") == b"62"
    async with Host.open(state) as host:
        assert await host.deployment("acme/count").actor().ask(1) == 63
