"""Topics are one table for Python actors and components, whoever publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from worlds import do

from airssys.rt import Actor, Bounded, Published, handles
from airssys.rt.errors import InvalidSpec

if TYPE_CHECKING:
    from worlds import ComponentWorld


#: A keeper that reads JSON alone.
JSON: dict[str, Any] = {"settings": {"config": {"accepts": [0x0200]}}}


class Listener(Actor):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    @handles(dict)
    async def hear(self, message: dict[str, Any]) -> None:
        self.heard.append(message)

    @handles(str)
    async def all(self, message: str) -> list[Any]:
        return self.heard


async def test_what_a_component_publishes_reaches_python(components: ComponentWorld) -> None:
    topics = components.system.topics
    listener = await components.system.spawn(Listener)
    late = await components.system.spawn(Listener, name="late")
    for pattern in ("orders.*.paid", "orders.**", "orders.eu.paid"):
        topics.subscribe(pattern, listener)
    keeper = await components.keeper()
    topics.subscribe("orders.**", late)
    published = await keeper.ask(
        do(
            ["publish", "orders.eu.paid", {"n": 1}],  # once to each, however many patterns match
            ["publish", "orders.eu.de.sent", {"n": 2}],
            ["publish", "orders", {"n": 3}],  # `**` is one or more words
            ["publish", "other", {"n": 4}],
        )
    )
    accepted = [one["ok"] for one in published]
    assert accepted == [{"accepted": n, "refused": 0} for n in (2, 2, 0, 0)]
    assert await listener.ask("all") == [{"n": 1}, {"n": 2}]
    assert await late.ask("all") == [{"n": 1}, {"n": 2}]
    topics.unsubscribe("orders.**", late)
    await late.stop()
    (after,) = await keeper.ask(do(["publish", "orders.us.sent", {"n": 5}]))
    assert after["ok"] == {"accepted": 1, "refused": 0}


async def test_what_python_publishes_reaches_components(components: ComponentWorld) -> None:
    topics = components.system.topics
    listener = await components.system.spawn(Listener)
    topics.subscribe("orders.**", listener)
    one, other = await components.keeper(**JSON), await components.keeper(**JSON)
    await one.ask(do(["subscribe", "orders.*.paid"], ["subscribe", "orders.**"]))
    await other.ask(do(["subscribe", "orders.us.*"]))
    assert topics.publish("orders.eu.paid", {"tag": 1}) == Published(2, 0)
    assert topics.publish("orders.us.paid", {"tag": 2}) == Published(3, 0)
    assert topics.publish("orders", {"tag": 3}) == Published(0, 0)
    assert topics.publish("nothing", {"tag": 4}) == Published(0, 0)
    assert await components.kept(one) == [1, 2]
    assert await components.kept(other) == [2]
    assert await listener.ask("all") == [{"tag": 1}, {"tag": 2}]
    (journal,) = await other.ask(do(["journal"]))
    (heard,) = [entry for entry in journal if entry.get("tag") == 2]
    assert heard["topic"] == "orders.us.paid"
    await other.ask(do(["unsubscribe", "orders.us.*"]))
    assert topics.publish("orders.us.paid", {"tag": 5}) == Published(2, 0)


async def test_python_subscribes_a_component(components: ComponentWorld) -> None:
    topics = components.system.topics
    keeper = await components.keeper(**JSON)
    topics.subscribe("orders.**", keeper)
    other = await components.keeper()
    assert topics.publish("orders.eu", {"tag": 1}) == Published(1, 0)
    (published,) = await other.ask(do(["publish", "orders.us", {"tag": 2}]))
    assert published["ok"] == {"accepted": 1, "refused": 0}
    assert await components.kept(keeper) == [1, 2]
    topics.unsubscribe("orders.**", keeper)
    assert topics.publish("orders.eu", {"tag": 3}) == Published(0, 0)
    with pytest.raises(InvalidSpec):
        topics.subscribe("a..b", keeper)


async def test_each_component_gets_a_codec_that_it_takes(components: ComponentWorld) -> None:
    topics = components.system.topics
    texts = await components.keeper(**JSON)
    any_codec = await components.keeper()
    none = await components.keeper(settings={"config": {"accepts": [0x0701]}})  # Borsh: no value
    for keeper in (texts, any_codec, none):
        topics.subscribe("news", keeper)
    assert topics.publish("news", {"tag": "said"}) == Published(2, 1)
    assert await components.kept(texts) == ["said"]
    assert topics.publish("news", b"no payload") == Published(0, 3)
    assert topics.publish("news", object()) == Published(0, 3)


async def test_overflow_is_counted_at_whoever_publishes(components: ComponentWorld) -> None:
    topics = components.system.topics
    listener = await components.system.spawn(Listener, mailbox=Bounded(2))
    full = await components.keeper(mailbox=Bounded(2))
    topics.subscribe("news", listener)
    topics.subscribe("news", full)
    components.system.suspend(listener)
    components.system.suspend(full)
    keeper = await components.keeper()
    outcomes = await keeper.ask(do(*[["publish", "news", {"tag": n}] for n in range(3)]))
    assert [one["ok"]["accepted"] for one in outcomes] == [2, 2, 0]
    assert outcomes[2]["ok"]["refused"] == 2
    assert topics.publish("news", {"tag": 9}) == Published(0, 2)
    components.system.resume(listener)
    components.system.resume(full)
    await components.system.settle()
    assert await components.kept(full) == [0, 1]
    assert len(await listener.ask("all")) == 2
