"""Guests in Python and JavaScript use storage, topics, timers and state as one in Rust does."""

from __future__ import annotations

import asyncio

import pytest

from airssys.rt import Actor, Health, handles
from airssys.wasm import Host, Limits
from airssys.wasm.actors import ActorSettings, GuestRefused


@pytest.fixture
def tally(guest):
    """The JavaScript guest; skip where it could not be built."""
    try:
        return guest("tally-js")
    except AssertionError:
        pytest.skip("the JavaScript guest is not built: it needs Node.js")


class Listener(Actor):
    def __init__(self):
        self.heard = asyncio.Queue()

    @handles(object)
    async def hear(self, message):
        self.heard.put_nowait(message)


STORED = {"storage": [{"namespace": "self", "access": ["read", "write", "list"]}]}


async def ledger_of(host, guest):
    deployment = await host.deploy(
        guest("ledger-python"),
        name="demo/ledger",
        lifetime="actor",
        capabilities=STORED | {"messaging": [{"publish": "ledger.*"}]},
        grant="requested",
    )
    return await deployment.start()


async def test_a_ledger_in_python_keeps_its_books(state, guest):
    async with Host.open(state) as host:
        ledger = await ledger_of(host, guest)
        assert await host.system.health(ledger) is Health.DEGRADED
        move = {"transfer": {"from": "bank", "to": "ada", "amount": 30}}
        assert await ledger.ask(move, 10.0) == {"bank": -30, "ada": 30}
        assert await ledger.ask("accounts", 10.0) == ["account/ada", "account/bank"]
        assert await host.system.health(ledger) is Health.HEALTHY
        with pytest.raises(GuestRefused, match="Invalid"):
            await ledger.ask({"transfer": {"from": "..", "to": "ada", "amount": 1}}, 10.0)
        await ledger.kill()
        assert await host.deployment("demo/ledger").actor().ask({"balance": "ada"}, 10.0) == 30


async def test_what_the_ledger_publishes_is_heard_in_python_and_in_javascript(state, guest, tally):
    async with Host.open(state) as host:
        heard = asyncio.Queue()

        class Hears(Listener):
            def __init__(self):
                self.heard = heard

        listener = await host.system.spawn(Hears)
        host.system.topics.subscribe("ledger.**", listener)
        counting = await host.deploy(
            tally,
            name="demo/tally",
            lifetime="actor",
            actor=ActorSettings(config={"topics": "ledger.*"}),
            capabilities=STORED | {"messaging": [{"subscribe": "ledger.*"}]},
            grant="requested",
        )
        count = await counting.start()
        ledger = await ledger_of(host, guest)
        move = {"transfer": {"from": "bank", "to": "ada", "amount": 1}}
        for _ in range(3):
            await ledger.ask(move, 10.0)
        await ledger.ask({"remind": 0.01}, 10.0)
        messages = [await asyncio.wait_for(heard.get(), 10) for _ in range(4)]
        assert messages == [*({"bank": -n, "ada": n} for n in (1, 2, 3)), "ledger"]
        assert host.system.topics.publish("ledger.closed", {"by": "Python"}).accepted == 2
        assert await count.ask({"count": "ledger.transferred"}, 10.0) == 3
        assert await count.ask({"count": "ledger.closed"}, 10.0) == 1
        assert await count.ask("seen", 10.0) == 5
        # The next revision has the state, and the storage was never its own to lose.
        await counting.deploy(tally, actor=ActorSettings(codec="json"))
        assert await count.ask("seen", 10.0) == 5
        assert await count.ask({"count": "ledger.reminded"}, 10.0) == 1


async def test_an_actor_at_its_quota_is_told_and_goes_on(state, guest):
    async with Host.open(state) as host:
        storing = await host.deploy(
            guest("storing-actor"),
            name="acme/storing",
            lifetime="actor",
            limits=Limits(storage=8),  # the key `count` and three digits
            actor=ActorSettings(codec="json"),
            capabilities=STORED,
            grant="requested",
        )
        ref = await storing.start()
        assert await ref.ask(999, 10.0) == 999
        with pytest.raises(GuestRefused, match="Exceeded"):
            await ref.ask(1, 10.0)
        assert await ref.ask(-1, 10.0) == 998
        assert await storing.storage.get("count") == b"998"
        assert host.system.inspect(ref).restarts == 0
