"""Rates go by the clock of the actors: where time is virtual, to the message and to the line."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from worlds import do

from airssys.rt import PERMANENT
from airssys.wasm import Limits
from airssys.wasm._native import _core

if TYPE_CHECKING:
    from worlds import ComponentWorld

    from airssys.rt import Ref


def counted(limits: Limits, **ceilings: int) -> tuple[_core.Limits, _core.Account]:
    account = _core.Account("deployment test/k")
    account.set(**ceilings)
    return limits.native.counted(account), account


async def flood(ref: Ref[Any], times: int) -> int:
    """Return how many of so many messages were sent."""
    (outcome,) = await ref.ask(do(["flood", "test/taker", times, {"tag": 1}]))
    assert outcome["ok"] + outcome["refused"].get("too-many", 0) == times
    sent: int = outcome["ok"]
    return sent


@pytest.mark.parametrize("crash", [False, True])
async def test_messages_per_second_are_kept_over_restarts(
    components: ComponentWorld, crash: bool
) -> None:
    taker = await components.keeper("taker")
    limits, account = counted(Limits(messages_per_second=100))
    keeper = await components.keeper("k", restart=PERMANENT, settings={"limits": limits})
    assert await flood(keeper, 500) == 50  # half a second's worth at once
    assert account.usage()["hits"] == {"messages_per_second": 450}
    if crash:
        keeper.tell(components.fail())
        await components.system.settle()
        components.system.dead_letters.ignore()
    assert await flood(keeper, 500) == 0
    await asyncio.sleep(0.25)
    assert await flood(keeper, 500) == 25
    await asyncio.sleep(60.0)
    assert await flood(keeper, 500) == 50
    assert len(await components.kept(taker)) == 125


async def test_every_way_to_send_counts(components: ComponentWorld) -> None:
    for name in ("one", "two", "three"):
        await components.keeper(name)
    limits, account = counted(Limits(messages_per_second=10))
    keeper = await components.keeper("k", settings={"limits": limits})
    ways = [
        ["tell", "test/one", {}],
        ["send", "test/one", {}, 1.0],
        ["ask", "test/one", {}, 1.0],
        ["publish", "some.topic", {}],
        ["ask-async", "test/one", {}, 1.0, []],
    ]
    for way in ways:
        (outcome,) = await keeper.ask(do(way))
        assert "ok" in outcome, way  # five messages: half a second's worth
    for way in ways:
        (outcome,) = await keeper.ask(do(way))
        assert outcome["error"] == "too-many", way
    assert account.usage()["hits"] == {"messages_per_second": 5}
    await asyncio.sleep(0.2)  # two more
    (reach,) = await keeper.ask(do(["broadcast", "test/*", {}]))
    assert reach == {"ok": {"accepted": 2, "refused": 1}}
    # A reply is no message of its own accord: it uses the place that its ask reserved.
    assert await keeper.ask(do(["give", 1])) == [1]


async def test_log_lines_per_second_are_those_of_a_deployment(components: ComponentWorld) -> None:
    taken: list[Any] = []

    class Logs:
        def take(self, lines: list[Any]) -> None:
            taken.extend(lines)

    components.exchange._logs = Logs()  # type: ignore[assignment]
    limits, account = counted(Limits(), log_lines_per_second=20)
    settings = {"limits": limits}
    one = await components.keeper("k", address="test/k#one", settings=settings)
    two = await components.keeper("l", address="test/k#two", settings=settings)
    await one.ask(do(["repeat", 10, [["log", "info", "a", {}], ["print", "b"]]]))
    await two.ask(do(["repeat", 5, [["print-error", "c"]]]))
    await components.system.settle()
    assert "".join(line.message for line in taken) == "ab" * 5
    assert account.usage()["log_lines_lost"] == 15
    await asyncio.sleep(0.05)
    await two.ask(do(["log", "warning", "later", {}], ["log", "info", "too late", {}]))
    await components.system.settle()
    assert (taken[-1].message, taken[-1].lost) == ("later", 15)
    await asyncio.sleep(0.05)
    await one.ask(do(["log", "info", "again", {}]))
    await components.system.settle()
    assert (taken[-1].message, taken[-1].lost) == ("again", 1)
    assert account.usage()["hits"] == {"log_lines_per_second": 16}
