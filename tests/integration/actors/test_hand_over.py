"""What becomes of the state of actors when another revision takes over, or fails to."""

from __future__ import annotations

import pytest

from airssys.wasm import Host
from airssys.wasm.actors import ActorSettings, HandOverRefused, StartFailed
from airssys.wasm.manifest import embed_manifest, read_component_manifest

JSON = ActorSettings(codec="json")


async def counter_of(host, guest, key="", **settings):
    """Deploy version 1 of the counter and count to 5."""
    settings = ActorSettings(codec="json", **settings)
    counter = await host.deploy(
        guest("counter-rust"), name="acme/counter", lifetime="actor", actor=settings
    )
    ref = await counter.start(key)
    assert await ref.ask({"add": 5}) == 5
    return counter, ref


def incarnation(ref):
    return ref.place.native.incarnation


@pytest.mark.parametrize("how", [None, "migrate", "snapshot"])
async def test_the_second_version_goes_on_from_the_state_of_the_first(state, guest, how):
    async with Host.open(state) as host:
        counter, ref = await counter_of(host, guest)
        host.system.suspend(ref)
        ref.tell({"add": 1})
        await counter.deploy(
            guest("counter-rust-2"), actor=ActorSettings(codec="json", hand_over=how)
        )
        host.system.resume(ref)
        assert await ref.ask({"add": 2}) == {"count": 8, "changes": 2}
        assert host.system.inspect(ref).books.dead == 0
    async with Host.open(state) as host:  # and that is what is kept
        again = host.deployment("acme/counter").actor()
        assert await again.ask("get") == {"count": 8, "changes": 2}


async def test_without_a_hand_over_it_begins_anew(state, guest):
    async with Host.open(state) as host:
        counter, ref = await counter_of(host, guest)
        anew = ActorSettings(codec="json", hand_over="none")
        await counter.deploy(guest("counter-rust-2"), actor=anew)
        assert await ref.ask("get") == {"count": 0, "changes": 0}


@pytest.mark.parametrize(("rule", "count"), [(None, 7), ("reverse", 7), ("discard", 5)])
async def test_a_rollback_keeps_or_discards_what_the_later_revision_wrote(
    state, guest, rule, count
):
    async with Host.open(state) as host:
        counter, ref = await counter_of(host, guest)
        await counter.deploy(
            guest("counter-rust-2"), actor=ActorSettings(codec="json", rollback=rule)
        )
        assert await ref.ask({"add": 2}) == {"count": 7, "changes": 1}
        assert (await counter.rollback()).number == 1
        assert await ref.ask("get") == count
    async with Host.open(state) as host:
        assert await host.deployment("acme/counter").actor().ask("get") == count


async def test_a_rollback_that_is_refused_changes_nothing(state, guest):
    async with Host.open(state) as host:
        counter, ref = await counter_of(host, guest)
        await counter.deploy(
            guest("counter-rust-2"), actor=ActorSettings(codec="json", rollback="refuse")
        )
        await ref.ask({"add": 2})
        before = incarnation(ref)
        with pytest.raises(HandOverRefused, match="revision 2 of 'acme/counter' declares"):
            await counter.rollback()
        assert counter.revision.number == 2
        assert incarnation(ref) == before
        assert await ref.ask("get") == {"count": 7, "changes": 1}


async def test_a_state_that_is_not_taken_leaves_the_old_revision_untouched(state, guest):
    async with Host.open(state) as host:
        counter = await host.deploy(
            guest("counter-rust-2"), name="acme/counter", lifetime="actor", actor=JSON
        )
        ref = counter.actor()
        await ref.ask({"add": 3})
        before = incarnation(ref)
        as_it_is = ActorSettings(codec="json", hand_over="snapshot")
        with pytest.raises(HandOverRefused, match="8 bytes expected"):
            await counter.deploy(guest("counter-rust"), actor=as_it_is)
        assert counter.revision.number == 1
        assert incarnation(ref) == before  # it was never stopped
        assert await ref.ask("get") == {"count": 3, "changes": 1}


@pytest.mark.parametrize(
    ("event", "ending"),
    [
        ("metadata", ["trap"]),
        *((event, ["trap"]) for event in ("initialize", "restore", "migrate")),
        *((event, ["refuse", "no"]) for event in ("initialize", "restore", "migrate")),
    ],
)
async def test_a_successor_that_ends_leaves_the_old_one_untouched(state, guest, event, ending):
    async with Host.open(state) as host:
        puppet = await host.deploy(
            guest("actor-puppet"), name="acme/puppet", lifetime="actor", actor=JSON
        )
        ref = await puppet.start()
        await ref.ask({"do": [["set", "color", "green"]]})
        place = ref.place
        # The same version restores; for a migration another one has to have written the state.
        place.written = _of_version(place.written, "0.9.0" if event == "migrate" else "1.0.0")
        with pytest.raises((StartFailed, HandOverRefused)):
            await puppet.deploy(
                guest("actor-puppet"),
                actor=ActorSettings(codec="json", config={f"on-{event}": [ending]}),
            )
        assert (puppet.revision.number, incarnation(ref)) == (1, 1)
        assert await ref.ask({"do": [["get", "color"]]}) == ["green"]


def _of_version(written, version):
    import dataclasses

    return lambda snapshot: dataclasses.replace(written(snapshot), version=version)


async def test_all_keys_take_over_or_none(state, guest):
    async with Host.open(state) as host:
        puppet = await host.deploy(
            guest("actor-puppet"), name="acme/puppet", lifetime="actor", actor=JSON
        )
        refs = [await puppet.start(key) for key in ("", "a", "b", "c")]
        for ref in refs:
            await ref.ask({"do": [["set", "key", ref.key]]})
        await refs[2].ask({"do": [["on", "snapshot", [["refuse", "not now"]]]]})
        other = ActorSettings(codec="json", burst=7)
        with pytest.raises(Exception, match="not now"):
            await puppet.deploy(guest("actor-puppet"), actor=other)
        assert [incarnation(ref) for ref in refs] == [1, 1, 1, 1]
        await refs[2].ask({"do": [["on", "snapshot", []]]})
        await puppet.deploy(guest("actor-puppet"), actor=other)
        assert [incarnation(ref) for ref in refs] == [2, 2, 2, 2]
        keys = [(await ref.ask({"do": [["get", "key"]]}))[0] for ref in refs]
        assert keys == ["", "a", "b", "c"]


async def test_timers_monitors_and_restarts_are_those_of_a_new_incarnation(state, guest):
    async with Host.open(state) as host:
        puppet = await host.deploy(
            guest("actor-puppet"), name="acme/puppet", lifetime="actor", actor=JSON
        )
        ref = await puppet.start()
        await ref.ask({"do": [["every", 1000, {"tag": "tick"}]]})
        await puppet.deploy(guest("actor-puppet"), actor=ActorSettings(codec="json", burst=7))
        assert ref.place.native.inspect()["timers"] == 0
        assert host.system.inspect(ref).restarts == 1
        with pytest.raises(Exception, match="trap"):
            await ref.ask({"do": [["trap"]]})
        assert await ref.ask({"do": [["give", 1]]}) == [1]
        assert incarnation(ref) == 3


MANIFEST = """
schema = 1
[component]
name = "acme/counter"
version = "2.0.0"
[instance]
lifetime = "actor"
[state]
hand_over = "{}"
rollback = "{}"
"""


async def test_the_manifest_of_the_component_declares_it(state, guest, tmp_path):
    file = tmp_path / "Component.toml"
    content = guest("counter-rust-2").read_bytes()
    async with Host.open(state) as host:
        counter, ref = await counter_of(host, guest)
        file.write_text(MANIFEST.format("none", "refuse"))
        await counter.deploy(embed_manifest(content, read_component_manifest(file)))
        assert await ref.ask({"add": 1}) == {"count": 1, "changes": 1}
        with pytest.raises(HandOverRefused):
            await counter.rollback()
        file.write_text(MANIFEST.format("snapshot", "discard"))
        await counter.deploy(embed_manifest(content, read_component_manifest(file)))
        assert await ref.ask("get") == {"count": 1, "changes": 1}
        # What the operator says comes first.
        anew = ActorSettings(codec="json", hand_over="none")
        await counter.deploy(embed_manifest(content, read_component_manifest(file)), actor=anew)
        assert await ref.ask("get") == {"count": 0, "changes": 0}


async def test_a_revision_that_cannot_be_recorded_goes_back_to_the_state_there_was(
    state, guest, monkeypatch
):
    from airssys.wasm.registry import Registry

    async with Host.open(state) as host:
        counter, ref = await counter_of(host, guest)

        def fail(*_args, **_named):
            raise OSError("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(Registry, "record_deploy", fail)
            with pytest.raises(OSError, match="disk is full"):
                await counter.deploy(guest("counter-rust-2"))
        assert counter.revision.number == 1
        assert await ref.ask("get") == 5
