"""Rollouts of actors: a share of the keys moves, each with its mailbox and its state."""

from __future__ import annotations

from pathlib import Path

import pytest

from airssys.wasm import Canary, Host, Recreate, Rolling, StrategyUnsupported
from airssys.wasm.actors import ActorSettings

COMPONENTS = Path(__file__).parents[3] / "build" / "components"
NAME = "acme/counter"
KEYS = ["", *(f"k{number}" for number in range(1, 12))]
BY_HAND = Canary(steps=[25, 50], step_duration=3600, analysis=None)


def guest(name):
    return (COMPONENTS / f"{name}.wasm").read_bytes()


async def counters(host, **settings):
    """Deploy version 1; the actor of each key has counted to its place in the list."""
    deployed = await host.deploy(
        guest("counter-rust"),
        name=NAME,
        lifetime="actor",
        actor=ActorSettings(codec="json", **settings),
    )
    for number, key in enumerate(KEYS):
        ref = await deployed.start(key)
        assert await ref.ask({"add": number}) == number
    return deployed


async def counted(deployed):
    """Return the count of every key, and on which version it is."""
    found = {}
    for key in KEYS:
        answer = await deployed.actor(key).ask("get")
        found[key] = (2, answer["count"]) if isinstance(answer, dict) else (1, answer)
    return found


async def test_a_share_of_the_actors_moves_with_their_state_and_the_rest_follows(state):
    async with Host.open(state) as host:
        deployed = await counters(host)
        rollout = await deployed.deploy(guest("counter-rust-2"), strategy=BY_HAND, wait=False)
        first = await counted(deployed)
        assert [count for _, count in first.values()] == list(range(12))
        gone = {key for key, (version, _) in first.items() if version == 2}
        assert len(gone) == 3, "a quarter of twelve"
        await rollout.set_weight(50)
        second = await counted(deployed)
        later = {key for key, (version, _) in second.items() if version == 2}
        assert gone < later
        assert len(later) == 6
        assert (await rollout.promote()).state == "promoted"
        assert await counted(deployed) == {key: (2, place) for place, key in enumerate(KEYS)}
        assert deployed.revision.number == 2
        dead = [host.system.inspect(deployed.actor(key)).books.dead for key in KEYS]
        assert dead == [0] * 12


async def test_actors_that_are_taken_back_bring_what_they_did_meanwhile(state):
    async with Host.open(state) as host:
        deployed = await counters(host)
        rollout = await deployed.deploy(guest("counter-rust-2"), strategy=BY_HAND, wait=False)
        for key in KEYS:
            deployed.actor(key).tell({"add": 100})
        assert (await rollout.abort()).state == "taken-back"
        assert await counted(deployed) == {key: (1, 100 + at) for at, key in enumerate(KEYS)}
        assert deployed.revision.number == 1


async def test_a_rolling_move_takes_share_after_share(state):
    async with Host.open(state) as host:
        deployed = await counters(host)
        strategy = Rolling(shares=3, step_duration=10)
        await deployed.deploy(guest("counter-rust-2"), strategy=strategy)
        assert await counted(deployed) == {key: (2, place) for place, key in enumerate(KEYS)}
        weights = [step.weight async for step in deployed.rollout().events()]
        assert weights == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0, 1.0]


async def test_a_single_actor_is_moved_whole_or_not_at_all(state):
    async with Host.open(state) as host:
        deployed = await host.deploy(
            guest("counter-rust"),
            name=NAME,
            lifetime="actor",
            actor=ActorSettings(codec="json"),
        )
        for strategy in (BY_HAND, Rolling()):
            with pytest.raises(StrategyUnsupported, match="single actor"):
                await deployed.deploy(guest("counter-rust-2"), strategy=strategy)
        with pytest.raises(StrategyUnsupported, match="between two messages"):
            await deployed.deploy(guest("counter-rust-2"), strategy=Recreate())
        assert deployed.revision.number == 1
