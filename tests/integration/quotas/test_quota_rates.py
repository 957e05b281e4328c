"""Rates of what guests send and log: more is refused or dropped, counted, and said."""

from __future__ import annotations

import asyncio

from airssys.wasm import Host, Limits
from airssys.wasm.actors import ActorSettings


def puppet(*actions):
    return {"do": list(actions)}


SPEAKS = {
    "lifetime": "actor",
    "actor": ActorSettings(codec="json"),
    "capabilities": {"messaging": [{"send": "acme/*"}, {"ask": "acme/*"}]},
    "grant": "requested",
}


async def test_one_that_sends_faster_than_it_may_is_refused(state, guest, notices):
    async with Host.open(state) as host:
        host.on_limit(notices)
        taker = await host.deploy(
            guest("actor-puppet"),
            name="acme/taker",
            **SPEAKS,
        )
        sender = await host.deploy(
            guest("actor-puppet"),
            name="acme/sender",
            **SPEAKS,
            limits=Limits(messages_per_second=20),
        )
        ref = sender.actor()
        (flooded,) = await ref.ask(puppet(["flood", "acme/taker", 500, {"tag": 1}]))
        sent = flooded["ok"]
        assert 10 <= sent < 500
        assert flooded["refused"] == {"too-many": 500 - sent}
        (asked,) = await ref.ask(puppet(["ask", "acme/taker", {}, 5.0]))
        assert asked.get("error") in {None, "too-many"}
        assert len(await taker.actor().ask(puppet(["tags"]))) == 1
        assert taker.usage().refused == {}
        assert sender.usage().refused["messages_per_second"] >= 500 - sent
        notice = await asyncio.to_thread(notices.next, "reached", "messages_per_second")
        assert (notice.owner, notice.configured) == ("deployment acme/sender", 20)
        # Each key has a rate of its own, and a crash does not refill one.
        (flooded,) = await sender.actor("k").ask(puppet(["flood", "acme/taker", 5, {}]))
        assert flooded == {"ok": 5, "refused": {}}
        assert taker.usage().failures == 0


async def test_lines_that_come_too_fast_are_dropped_counted_and_said(state, guest, notices):
    async with Host.open(state) as host:
        host.on_limit(notices)
        loud = await host.deploy(
            guest("actor-puppet"),
            name="evil/loud",
            **SPEAKS,
            limits=Limits(log_lines_per_second=10),
        )
        calm = await host.deploy(
            guest("actor-puppet"),
            name="acme/calm",
            **SPEAKS,
        )
        await calm.actor().ask(puppet(["log", "info", "calm", {}]))
        line = ["log", "info", "x", {}]
        await loud.actor().ask(
            puppet(["repeat", 1000, [line, ["print", "y"], ["print-error", "z"]]])
        )
        await calm.actor().ask(puppet(["log", "info", "still calm", {}]))
        used = loud.usage()
        dropped = used.log_lines_dropped
        assert used.refused == {"log_lines_per_second": dropped}
        notice = await asyncio.to_thread(notices.next, "reached", "log_lines_per_second")
        assert notice.owner == "deployment evil/loud"
        assert len(loud.logs()) + dropped == 3000
        assert [each.message for each in calm.logs()] == ["calm", "still calm"]
        assert calm.usage().log_lines_dropped == 0


async def test_a_line_is_cut_with_its_fields(state, guest):
    async with Host.open(state) as host:
        loud = await host.deploy(
            guest("actor-puppet"),
            name="evil/loud",
            **SPEAKS,
        )
        fields = {f"name{number}": "v" * 1000 for number in range(100)}
        await loud.actor().ask(puppet(["log", "info", "m" * 100, fields]))
        (line,) = loud.logs()
        kept = len(line.message) + sum(len(key) + len(value) for key, value in line.fields.items())
        assert 15_000 < kept <= 16 << 10
