"""Codecs: what an actor accepts is known, and another is refused where it is sent."""

from __future__ import annotations

import pytest

from airssys.rt import Actor, SpawnFailed, handles
from airssys.wasm import Host, codecs
from airssys.wasm.actors import ActorSettings
from airssys.wasm.codecs import CodecMismatch, PayloadTooLarge, UnknownCodec

CBOR, PROTOBUF = 0x51, 0x50


async def puppet_of(host, guest, name="acme/puppet", **settings):
    settings = {"codec": "json"} | settings
    puppet = await host.deploy(
        guest("actor-puppet"),
        name=name,
        lifetime="actor",
        actor=ActorSettings(**settings),
        capabilities={"messaging": [{"ask": "acme/*"}, {"send": "acme/*"}]},
        grant="requested",
    )
    return await puppet.start()


async def test_what_the_component_says_it_accepts_is_what_is_taken(state, guest):
    async with Host.open(state) as host:
        counter = await host.deploy(guest("counter-rust"), name="acme/counter", lifetime="actor")
        ref = await counter.start()
        # Its metadata names JSON, so Python writes JSON where nobody says otherwise.
        assert await ref.ask({"add": 2}) == 2
        with pytest.raises(CodecMismatch) as refused:
            ref.tell(codecs.encode({"add": 2}, "cbor"))
        assert refused.value.context["offered"] == ["cbor"]
        assert refused.value.context["accepted"] == ["json"]
        with pytest.raises(CodecMismatch):
            await ref.ask(codecs.encode({"add": 2}, "messagepack"))
        assert host.system.inspect(ref).books.accepted == 1


async def test_a_deployment_may_accept_less_but_not_more(state, guest):
    both = {"config": {"accepts": [CBOR, 0x0200]}}
    async with Host.open(state) as host:
        ref = await puppet_of(host, guest, accepts=("json", "raw"), **both)
        assert ref.place.native.accepts == [0x0200]
        with pytest.raises(CodecMismatch):
            ref.tell(codecs.encode(1, "cbor"))
        with pytest.raises(SpawnFailed, match="the component understands cbor, json"):
            await puppet_of(host, guest, "acme/other", accepts=("raw",), **both)
        with pytest.raises(SpawnFailed, match="no codec is named 'yaml'"):
            await puppet_of(host, guest, "acme/third", accepts=("yaml",))
        assert [one.name for one in host.deployments()] == ["acme/puppet"]


async def test_a_component_is_told_which_codecs_the_other_accepts(state, guest):
    async with Host.open(state) as host:
        await puppet_of(host, guest, "acme/strict", config={"accepts": [0x0200]})
        ref = await puppet_of(host, guest)
        for action in ("tell", "ask"):
            (refused,) = await ref.ask({"do": [[action, "acme/strict", "hex:51a0", 1.0]]})
            assert refused["error"] == "codec-mismatch"
            assert refused["detail"] == {"sent": CBOR, "accepted": [0x0200]}
        (seen,) = await ref.ask({"do": [["info", "acme/strict"]]})
        assert seen["accepts"] == [0x0200]


class Listener(Actor):
    def __init__(self, heard):
        self.heard = heard

    @handles(object)
    async def take(self, message):
        self.heard.append(message)


async def test_a_python_actor_takes_what_it_was_exposed_with(state, guest):
    heard = []
    async with Host.open(state) as host:
        ref = await puppet_of(host, guest)
        strict = await host.system.spawn(Listener, heard)
        host.expose(strict, "acme/strict", accepts=("json",))
        easy = await host.system.spawn(Listener, heard)
        host.expose(easy, "acme/easy")
        do = [["tell", "acme/strict", "hex:51a0"], ["tell", "acme/strict", {"a": 1}]]
        refused, told = await ref.ask({"do": do})
        assert refused["detail"] == {"sent": CBOR, "accepted": [0x0200]}
        assert told == {"ok": None}
        # What nothing here can read is refused at once too, instead of arriving undecodable.
        cbor, protobuf = await ref.ask(
            {"do": [["tell", "acme/easy", "hex:51a0"], ["tell", "acme/easy", "hex:5000"]]}
        )
        assert cbor == {"ok": None}
        assert protobuf["error"] == "codec-mismatch"
        assert protobuf["detail"]["sent"] == PROTOBUF
        assert CBOR in protobuf["detail"]["accepted"]
        await strict.stop(drain=True)
        await easy.stop(drain=True)
        assert heard == [{"a": 1}, {}]
        with pytest.raises(UnknownCodec, match="yaml"):
            host.expose(await host.system.spawn(Listener, heard), "acme/no", accepts=("yaml",))


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ("hex:", "invalid-payload"),
        ("hex:80", "invalid-payload"),
        ("hex:00", "invalid-payload"),
        ("hex:b2e80361", "codec-mismatch"),  # a number that no table names
        ("hex:55" + "00" * 2000, "too-large"),
    ],
)
async def test_bad_payloads_never_leave_their_sender(state, guest, payload, error):
    async with Host.open(state) as host:
        target = await puppet_of(host, guest, "acme/target", message_size="1KiB")
        ref = await puppet_of(host, guest)
        do = [[way, "acme/target", payload, 1.0] for way in ("tell", "send", "ask", "ask-async")]
        outcomes = await ref.ask({"do": do})
        assert [one["error"] for one in outcomes] == [error] * 4
        raw = bytes.fromhex(payload.removeprefix("hex:"))
        with pytest.raises((UnknownCodec, CodecMismatch, PayloadTooLarge)):
            target.tell(raw)
        with pytest.raises((UnknownCodec, CodecMismatch, PayloadTooLarge)):
            await target.ask(raw)
        assert host.system.inspect(target).books.accepted == 0
