"""What a component can do wrong, and the stated outcome of each; others go on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from worlds import do

from airssys.rt import PERMANENT, ActorFailed, Backoff, Bounded, HookFailed, SpawnFailed
from airssys.wasm import Limits
from airssys.wasm.storage_blocking import BlockingStorage
from airssys.wasm.storage_holder import StorageHolder, StorageSettings
from airssys.wasm.storage_records import StorageQuota

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worlds import ComponentWorld


@pytest.fixture
def bystander(components: ComponentWorld, airssys_loop: Any) -> Iterator[Any]:
    """Another component, which must not notice anything."""
    ref = airssys_loop.run_until_complete(components.keeper("bystander"))
    ref.tell(components.put("before"))
    yield ref
    assert airssys_loop.run_until_complete(components.kept(ref)) == ["before"]
    books = components.system.inspect(ref).books
    assert (books.dead, books.failed) == (0, 0)
    assert components.system.inspect(ref).restarts == 0
    components.system.dead_letters.ignore()


@pytest.mark.parametrize(
    ("function", "how"),
    [
        *(("initialize", how) for how in (["trap"], ["fail", "no"], ["exit", 1], ["recurse"])),
        *(("metadata", how) for how in (["trap"], ["exit", 1], ["recurse"])),
    ],
)
async def test_a_start_that_fails_leaves_nothing_behind(
    components: ComponentWorld, bystander: Any, function: str, how: list[Any]
) -> None:
    with pytest.raises(SpawnFailed) as failure:
        await components.keeper("k", settings={"config": {f"on-{function}": [how]}})
    assert failure.value.__cause__ is not None
    assert components.system.find("/k") is None
    assert components.exchange.plane.find("test/k") is None  # the address is free
    await components.keeper("k")


async def test_initialize_that_traps_at_each_restart_gives_up(
    components: ComponentWorld, bystander: Any
) -> None:
    keeper = await components.keeper("k", restart=PERMANENT, backoff=Backoff(10.0, 10.0))
    site = keeper.place.site
    broken = components.site("test/k", config={"on-initialize": [["trap"]]}).make
    site.upgrade(broken)
    keeper.tell(components.fail())
    await asyncio.sleep(1000.0)
    assert not keeper.alive
    assert "without 5.0 s of uptime" in str(keeper._cell.details().reason)


@pytest.mark.parametrize("event", ["health", "snapshot"])
async def test_a_trap_between_messages_fails_the_incarnation(
    components: ComponentWorld, bystander: Any, event: str
) -> None:
    keeper = await components.keeper("k", restart=PERMANENT)
    await keeper.ask(do(["on", event, [["trap"]]]))
    asked = keeper.health() if event == "health" else keeper.snapshot()
    with pytest.raises(Exception, match=r"failed|trap"):
        await asked
    await components.system.settle()
    assert components.system.inspect(keeper).restarts == 1
    assert await keeper.ask(components.echo(1)) == 1


async def test_a_trap_in_a_callback_fails_the_incarnation(
    components: ComponentWorld, bystander: Any
) -> None:
    keeper = await components.keeper("k", restart=PERMANENT)
    keeper.tell(do(["ask-async", "test/bystander", do(["give", 1]), 5.0, [["trap"]]]))
    await components.system.settle()
    assert components.system.inspect(keeper).restarts == 1


async def test_health_that_never_answers_counts_as_bad(
    components: ComponentWorld, bystander: Any
) -> None:
    keeper = await components.keeper(
        "k", restart=PERMANENT, settings={"health_interval": 1.0, "health_failures": 2}
    )
    await keeper.ask(do(["on", "health", [["sleep", 1e6]]]))
    await asyncio.sleep(100.0)
    assert components.system.inspect(keeper).restarts == 1
    assert components.system.inspect(keeper).health == "healthy"  # of the new instance


@pytest.mark.parametrize("how", [["trap"], ["sleep", 1e6], ["fail", "no"]])
async def test_a_shutdown_that_fails_or_hangs_is_dropped(
    components: ComponentWorld, bystander: Any, how: list[Any]
) -> None:
    keeper = await components.keeper("k")
    await keeper.ask(do(["on", "shutdown", [how]]))
    began = components.system.now
    await keeper.stop(timeout=3.0)
    assert components.system.now <= began + 3.1
    assert components.exchange.plane.find("test/k") is None


@pytest.mark.parametrize("how", [["refuse", "no"], ["trap"]])
async def test_a_snapshot_that_fails_keeps_the_earlier_one(
    components: ComponentWorld, bystander: Any, how: list[Any]
) -> None:
    failed: list[Any] = []
    components.system.events.subscribe(failed.append, HookFailed)
    keeper = await components.keeper(
        "k", restart=PERMANENT, snapshots=True, settings={"snapshot_every": 10.0}
    )
    keeper.tell(components.put("kept"))
    await asyncio.sleep(10.5)
    keeper.tell(do(["on", "snapshot", [how]]))
    keeper.tell(components.put("not kept"))
    await asyncio.sleep(10.0)
    assert [event.hook for event in failed][:1] == ["snapshot"]
    keeper.tell(components.fail())
    await components.system.settle()
    assert await components.kept(keeper) == ["kept"]


async def test_a_snapshot_of_garbage_fails_the_restore_and_then_gives_up(
    components: ComponentWorld, bystander: Any
) -> None:
    keeper = await components.keeper(
        "k", restart=PERMANENT, snapshots=True, settings={"snapshot_every": 10.0}
    )
    keeper.tell(do(["on", "snapshot", [["reply", "hex:deadbeef"]]]))
    await asyncio.sleep(10.5)
    keeper.tell(components.fail())
    await components.system.settle()
    assert not keeper.alive
    assert "restore" in str(keeper._cell.details().reason)


async def test_one_that_floods_another_is_refused(
    components: ComponentWorld, bystander: Any
) -> None:
    slow = await components.keeper("slow", mailbox=Bounded(10))
    components.system.suspend(slow)
    keeper = await components.keeper("k")
    (flooded,) = await keeper.ask(do(["flood", "test/slow", 100, {"tag": 1}]))
    assert flooded == {"ok": 10, "refused": {"mailbox-full": 90}}
    components.system.resume(slow)
    await components.system.settle()
    assert len(await components.kept(slow)) == 10


async def test_messages_to_nobody_to_the_stopped_and_without_right(
    components: ComponentWorld, bystander: Any
) -> None:
    keeper = await components.keeper("k")
    other = await components.keeper("other")
    await other.stop()
    for address in ("test/nobody", "test/other", "test/k#no-such-key"):
        (outcome,) = await keeper.ask(do(["ask", address, {}, 5.0]))
        assert outcome["error"] == "no-actor", address
    mute = await components.keeper("mute", rights=False)
    (outcome,) = await mute.ask(do(["tell", "test/bystander", {}]))
    assert outcome["error"] == "not-permitted"


async def test_one_that_restarts_takes_messages(components: ComponentWorld, bystander: Any) -> None:
    keeper = await components.keeper("k")
    other = await components.keeper("other", restart=PERMANENT, backoff=Backoff(5.0, 5.0))
    other.tell(components.fail())
    await asyncio.sleep(1.0)
    (told,) = await keeper.ask(do(["tell", "test/other", components.put("while away")]))
    assert told == {"ok": None}
    assert await components.kept(other, 10.0) == ["while away"]


async def test_replies_twice_or_late_are_errors_of_whoever_replies(
    components: ComponentWorld, bystander: Any
) -> None:
    keeper = await components.keeper("k")
    asked = asyncio.ensure_future(keeper.ask(do(["reply-later"]), 10.0))
    await components.system.settle()
    outcomes = await keeper.ask(do(["answer", None, "once"], ["answer", None, "twice"]))
    assert await asked == "once"
    assert outcomes[0] == {"ok": None}
    assert outcomes[1]["error"] == "unknown-token"
    late = asyncio.ensure_future(keeper.ask(do(["reply-later"]), 1.0))
    await asyncio.gather(late, return_exceptions=True)
    (outcome,) = await keeper.ask(do(["answer", None, "late"]))
    assert "error" in outcome


@pytest.mark.real_loop
async def test_one_that_never_returns_is_interrupted_by_a_kill(components: ComponentWorld) -> None:
    keeper = await components.keeper("k", restart=PERMANENT)
    spinning = asyncio.ensure_future(keeper.ask(do(["spin"]), 30.0))
    while not components.system.inspect(keeper).books.in_flight:
        await asyncio.sleep(0)
    assert (await keeper.kill()).kind == "killed"
    with pytest.raises(Exception, match="killed"):
        await spinning
    assert await keeper.ask(components.echo("again"), 30.0) == "again"
    components.system.dead_letters.ignore()


async def test_poison_messages_do_not_take_the_rest_of_the_queue(
    components: ComponentWorld, bystander: Any
) -> None:
    keeper = await components.keeper("k", restart=PERMANENT, backoff=Backoff(6.0, 6.0))
    components.system.suspend(keeper)
    asks = [asyncio.ensure_future(keeper.ask(components.fail(), 100.0)) for _ in range(4)]
    await asyncio.sleep(0)
    keeper.tell(components.put("survives"))
    components.system.resume(keeper)
    outcomes = await asyncio.gather(*asks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ActorFailed] * 4
    assert await components.kept(keeper, 100.0) == ["survives"]


async def test_the_virtual_clock_moves_messages_and_not_what_is_stored(
    components: ComponentWorld,
) -> None:
    # What is stored outlives the process, so its time is the wall clock's.
    holder = StorageHolder(None, StorageSettings(in_memory=True))
    quota = StorageQuota.of(Limits())
    stored = BlockingStorage(holder, lambda _name: quota).namespace("test/stored")
    try:
        stored.set("key", b"value", time_to_live=3600.0)
        keeper = await components.keeper()
        components.system.suspend(keeper)
        keeper.tell(components.put(1), ttl=3600.0)
        await asyncio.sleep(7200.0)
        components.system.resume(keeper)
        assert await components.kept(keeper) == []
        assert components.system.dead_letters.reasons() == ["expired"]
        assert stored.get("key") == b"value"
    finally:
        holder.close()
