"""The guests that the project ships as examples, each doing its work as an actor of a host."""

from __future__ import annotations

import asyncio

import pytest

from airssys.rt import ActorFailed, Health
from airssys.wasm import Host, codecs
from airssys.wasm.actors import ActorSettings, GuestRefused
from airssys.wasm.codecs import CodecMismatch

KEEPER = ["keeper (Python)"]
CHAIN = [*KEEPER, "transformer (JavaScript)", "asker (Rust)"]


@pytest.fixture
def deployed(guest):
    """Deploy a guest as an actor that speaks JSON, and return the ref of its main actor."""

    async def deploy(host, name, *, ask=(), settings=None, **config):
        path = guest(name)
        settings = {"codec": "json", "config": config} | (settings or {})
        deployment = await host.deploy(
            path,
            name=f"demo/{name}",
            lifetime="actor",
            actor=ActorSettings(**settings),
            capabilities={"messaging": [{"ask": each} for each in ask]},
            grant="requested",
        )
        return await deployment.start()

    return deploy


@pytest.fixture
def javascript(guest):
    """Skip where the JavaScript guest could not be built."""
    try:
        guest("transformer-js")
    except AssertionError:
        pytest.skip("the JavaScript guest is not built: it needs Node.js")


async def test_the_counter_counts_refuses_and_starts_where_it_is_told(state, guest, deployed):
    async with Host.open(state) as host:
        ref = await deployed(host, "counter-rust", start=40)
        assert await ref.ask({"add": 2}) == 42
        assert await ref.ask({"divide": 2}) == 21
        assert await ref.ask("get") == 21
        with pytest.raises(GuestRefused, match="is too large"):
            await ref.ask({"add": 2**63 - 1})
        assert await ref.ask("get") == 21
        with pytest.raises(ActorFailed):
            await ref.ask({"divide": 0})


async def test_the_second_counter_reads_the_state_of_the_first(state, deployed):
    async with Host.open(state) as host:
        first, second = await deployed(host, "counter-rust"), await deployed(host, "counter-rust-2")
        assert await first.ask({"add": 7}) == 7
        snapshot = await first.snapshot()
        native = second.place.native
        migrated = await native.migrate("1.0.0", snapshot, 5.0)
        await native.restart(migrated)
        ref = second
        assert await ref.ask({"add": 1}) == {"count": 8, "changes": 1}
        with pytest.raises(GuestRefused, match="no division by 0"):
            await ref.ask({"divide": 0})
        assert await ref.ask("get") == {"count": 8, "changes": 1}


async def test_the_keeper_keeps_and_says_what_it_does_not_know(state, deployed):
    async with Host.open(state) as host:
        ref = await deployed(host, "keeper-python")
        assert await ref.ask({"put": {"key": "a", "value": "hällo"}}) == answer(None)
        assert await ref.ask({"get": "a"}) == answer("hällo")
        assert await ref.ask("keys") == answer(["a"])
        assert await ref.ask({"delete": "a"}) == answer("hällo")
        with pytest.raises(GuestRefused, match="nothing is kept under a"):
            await ref.ask({"get": "a"})
        assert await ref.health() is Health.HEALTHY


def answer(value, path=KEEPER):
    return {"value": value, "path": path}


async def test_a_question_goes_through_three_languages(state, deployed, javascript):
    async with Host.open(state) as host:
        await deployed(host, "keeper-python")
        await deployed(host, "transformer-js", ask=["demo/*"], next="demo/keeper-python")
        asker = await deployed(host, "asker-rust", ask=["demo/*"], target="demo/transformer-js")
        put = {"put": {"key": "greeting", "value": "grüß dich"}}
        assert await asker.ask(put, 30.0) == answer(None, CHAIN)
        assert await asker.ask({"get": "greeting"}, 30.0) == answer("GRÜSS DICH", CHAIN)
        later = [asker.ask({"later": {"get": "greeting"}}, 30.0) for _ in range(3)]
        assert await asyncio.gather(*later) == [answer("GRÜSS DICH", CHAIN)] * 3
        for request in ({"get": "unknown"}, {"later": {"get": "unknown"}}):
            with pytest.raises(GuestRefused, match="nothing is kept under unknown"):
                await asker.ask(request, 30.0)


async def test_one_of_the_chain_is_restarted_in_the_middle(state, deployed):
    async with Host.open(state) as host:
        keeper = await deployed(host, "keeper-python", settings={"snapshot_every": 1.0})
        asker = await deployed(host, "asker-rust", ask=["demo/*"], target="demo/keeper-python")
        await asker.ask({"put": {"key": "a", "value": 1}}, 30.0)
        await asyncio.sleep(1.5)  # of virtual time: the snapshot is taken
        keeper.kill()
        assert await asker.ask({"get": "a"}, 30.0) == answer(1, [*KEEPER, "asker (Rust)"])


async def test_without_the_right_nobody_is_reached(state, deployed):
    async with Host.open(state) as host:
        await deployed(host, "keeper-python")
        asker = await deployed(host, "asker-rust", target="demo/keeper-python")
        with pytest.raises(GuestRefused, match="NotPermitted"):
            await asker.ask({"get": "a"}, 30.0)


async def test_another_codec_is_refused_at_send_with_both_lists(state, deployed):
    async with Host.open(state) as host:
        ref = await deployed(host, "counter-rust", settings={"accepts": ("json",)})
        with pytest.raises(CodecMismatch) as caught:
            await ref.ask(codecs.encode("get", "cbor"))
        assert (caught.value.offered, caught.value.accepted) == (("cbor",), ("json",))
        assert await ref.ask("get") == 0


async def test_the_pipeline_stores_what_is_clean_and_names_the_rest(state, deployed, javascript):
    async with Host.open(state) as host:
        keeper = await deployed(host, "keeper-python")
        await deployed(host, "transformer-js")
        others = {"cleaner": "demo/transformer-js", "store": "demo/keeper-python"}
        etl = await deployed(host, "etl-rust", ask=others.values(), **others)
        lines = " ada  LOVELACE;12,5\nnobody\n;3\nalan turing;a lot\ngrace hopper;7"
        assert await etl.ask({"lines": lines}, 30.0) == {
            "stored": 2,
            "refused": [
                "line 2: no `;` between name and amount",
                "line 3: a record without a name",
                "line 4: a lot is no amount",
            ],
        }
        assert await keeper.ask("keys") == answer(["Ada Lovelace", "Grace Hopper"])
        assert await keeper.ask({"get": "Ada Lovelace"}) == answer("12.50")


async def test_a_missing_setting_fails_the_start_with_its_name(state, deployed):
    async with Host.open(state) as host:
        with pytest.raises(Exception, match="`target` is missing") as caught:
            await deployed(host, "asker-rust")
        assert type(caught.value).__name__ == "SpawnFailed"


async def test_members_of_a_room_hear_each_other_and_nobody_speaks_uninvited(state, guest):
    async with Host.open(state) as host:
        rooms = await host.deploy(
            guest("chat-room"),
            name="demo/chat-room",
            lifetime="actor",
            actor=ActorSettings(codec="json"),
            capabilities={"messaging": [{"send": "demo/chat-member"}]},
            grant="requested",
        )
        members = await host.deploy(
            guest("chat-member"),
            name="demo/chat-member",
            lifetime="actor",
            actor=ActorSettings(codec="json"),
            capabilities={"messaging": [{"ask": "demo/chat-room"}]},
            grant="requested",
        )
        lobby = await rooms.start("lobby")
        ada, bob = await members.start("Ada"), await members.start("Bob")
        join = {"join": "demo/chat-room#lobby"}
        assert [await ada.ask(join), await bob.ask(join)] == [0, 1]
        assert await lobby.ask("members") == ["Ada", "Bob"]
        assert await ada.ask({"say": "hello"}) == 2
        line = [{"by": "Ada", "text": "hello"}]
        assert await bob.ask({"heard": None}) == line
        assert await ada.ask({"heard": None}) == line
        with pytest.raises(GuestRefused, match="only an actor"):
            await lobby.ask({"say": "from outside"})
        eve = await members.start("Eve")
        with pytest.raises(GuestRefused, match="join a room first"):
            await eve.ask({"say": "me too"})
        assert await bob.ask("leave") is True
        assert await ada.ask({"say": "alone"}) == 1
        assert await lobby.ask("lines") == 2
