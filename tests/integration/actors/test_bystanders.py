"""Whatever some actors do, the others notice nothing."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from airssys.errors import AirsSysError
from airssys.rt import ActorFailed
from airssys.wasm import Host, Limits
from airssys.wasm.actors import ActorSettings, GuestRefused

#: What a misbehaving actor is told, again and again.
MISCHIEF = {
    "traps": [["trap"]],
    "panics": [["panic", "on purpose"]],
    "exits": [["exit", 3]],
    "recurses": [["recurse"]],
    "eats-memory": [["allocate", 1 << 40]],
    "never-returns": [["spin"]],
    "floods": [["flood", "acme/sink", 5000, {"tag": "flood"}]],
    "asks-itself": [["ask", "acme/asks-itself", {}, 1.0]],
    "asks-in-a-circle": [
        ["ask", "acme/circle", {"do": [["ask", "acme/asks-in-a-circle", {}, 1]]}, 1]
    ],
    "answers-twice": [["reply-later"], ["answer", None, 1], ["answer", None, 2]],
    "sends-garbage": [["tell", "acme/good", "hex:"], ["tell", "acme/good", "hex:ffff"]],
    "knocks-at-nobody": [["ask", "acme/nobody", {}, 1.0]],
}


async def deploy(host, guest, name, **settings):
    deployment = await host.deploy(
        guest("actor-puppet"),
        name=f"acme/{name}",
        lifetime="actor",
        limits=Limits(memory="64MiB", call_timeout=0.2),
        actor=ActorSettings(codec="json", burst=10**6, max_consecutive=10**6, **settings),
        capabilities={"messaging": [{"ask": "acme/*"}, {"send": "acme/*"}]},
        grant="requested",
    )
    return await deployment.start()


@pytest.mark.parametrize("mischief", MISCHIEF)
async def test_the_others_see_no_failure(state, guest, mischief):
    async with Host.open(state) as host:
        good = await deploy(host, guest, "good")
        await deploy(host, guest, "sink", mailbox=100)
        await deploy(host, guest, "circle")
        bad = await deploy(host, guest, mischief)
        running = True

        async def misbehave():
            while running:
                with contextlib.suppress(AirsSysError):
                    await bad.ask({"do": MISCHIEF[mischief]}, 1.0)
                await asyncio.sleep(0)  # an ask that is refused at once gives nobody a turn

        doing = asyncio.ensure_future(misbehave())
        counts = [await good.ask({"do": [["count", 1]]}, 5.0) for _ in range(100)]
        running = False
        await doing
        assert counts == [[n] for n in range(1, 101)]
        books = host.system.inspect(good).books
        assert (books.accepted, books.handled, books.dead) == (100, 100, 0)
        # What it did came to something that is told, and the actor is there again.
        assert await bad.ask({"do": [["give", "here"]]}, 5.0) == ["here"]
        seen = host.system.inspect(bad).books
        assert seen.accepted == seen.handled + seen.dead
        assert seen.asked == seen.answered + seen.failed + seen.expired + seen.cancelled


async def test_a_handler_that_never_returns_ends_at_its_time(state, guest):
    async with Host.open(state) as host:
        bad = await deploy(host, guest, "bad")
        with pytest.raises(ActorFailed, match="time"):
            await bad.ask({"do": [["spin"]]}, 5.0)
        assert await bad.ask({"do": [["give", 1]]}, 5.0) == [1]
        assert host.system.inspect(bad).restarts == 1


async def test_an_actor_at_its_quota_is_told_and_goes_on(state, guest):
    async with Host.open(state) as host:
        storing = await host.deploy(
            guest("storing-actor"),
            name="acme/storing",
            lifetime="actor",
            limits=Limits(storage=8),  # the key `count` and three digits
            actor=ActorSettings(codec="json"),
            capabilities={"storage": [{"namespace": "self", "access": ["read", "write"]}]},
            grant="requested",
        )
        ref = await storing.start()
        assert await ref.ask(999) == 999
        with pytest.raises(GuestRefused, match="Exceeded"):
            await ref.ask(1)
        assert await ref.ask(-1) == 998
        assert await storing.storage.get("count") == b"998"
        assert host.system.inspect(ref).restarts == 0
