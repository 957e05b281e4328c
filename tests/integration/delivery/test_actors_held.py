"""Actors of a new revision that traps: held by the message plane before Python has a turn."""

from __future__ import annotations

import asyncio
import functools
import time
from pathlib import Path

from airssys.wasm import Bounds, Canary, Host
from airssys.wasm.actors import ActorSettings

COMPONENTS = Path(__file__).parents[3] / "build" / "components"
NAME = "acme/counter"


def on_a_real_loop(test):
    """Run a test where actors have threads of their own, which no virtual clock drives."""

    @functools.wraps(test)
    def run(state):
        asyncio.run(test(state))

    return run


def guest(name):
    return (COMPONENTS / f"{name}.wasm").read_bytes()


async def fleet(host, version, **settings):
    """Deploy a counter, with forty actors; version 1 traps where it is to divide by zero."""
    deployed = await host.deploy(
        guest(version),
        name=NAME,
        lifetime="actor",
        actor=ActorSettings(codec="json", burst=1000, **settings),
    )
    for number in range(40):
        await deployed.start(f"k{number}")
    return deployed


def books(host, deployed):
    """Return what became of the messages of each of the forty, without a turn of the loop."""
    keys = [f"k{number}" for number in range(40)]
    return [host.system.inspect(deployed.actor(key)).books for key in keys]


def failed_until(host, deployed, enough):
    """Wait on this thread, so that nothing else of Python runs; return how many failed."""
    until = time.monotonic() + 40
    while time.monotonic() < until:
        seen = books(host, deployed)
        failed = sum(each.dead_by_reason.get("failed", 0) for each in seen)
        idle = sum(each.queued == 0 for each in seen)
        if not any(each.in_flight for each in seen) and enough(failed, idle):
            return failed
    raise AssertionError(seen)


@on_a_real_loop
async def test_the_first_trap_of_a_new_revision_holds_all_its_actors_at_once(state):
    """What they were sent waits, and is handled by the live revision once they are back."""
    async with Host.open(state) as host:
        deployed = await fleet(host, "counter-rust-2")
        strategy = Canary(steps=[75], step_duration=3600)
        rollout = await deployed.deploy(guest("counter-rust"), strategy=strategy, wait=False)
        for message in [{"divide": 0}, {"divide": 0}, {"add": 1}]:
            for number in range(40):
                deployed.actor(f"k{number}").tell(message)
        # Until those of the live revision have handled everything: of forty, or forty-one with the
        # main actor, three in four are not.
        failed = failed_until(host, deployed, lambda failed, idle: failed and idle >= 9)
        # Those that were under way at that moment: about one for each thread. All thirty otherwise.
        assert failed <= 10
        status = await rollout.wait()
        assert status.state == "taken-back"
        assert "the new revision trapped in" in status.why
        answers = [await deployed.actor(f"k{number}").ask("get") for number in range(40)]
        assert [answer["count"] for answer in answers] == [1] * 40
        assert sum(each.dead_by_reason.get("failed", 0) for each in books(host, deployed)) <= 10
        assert deployed.revision.number == 1


@on_a_real_loop
async def test_traps_that_a_bound_lets_pass_hold_nobody_until_there_are_more(state):
    async with Host.open(state) as host:
        deployed = await fleet(host, "counter-rust-2")
        strategy = Canary(
            steps=[75], step_duration=3600, analysis=None, bounds=Bounds(traps=9, past=None)
        )
        rollout = await deployed.deploy(guest("counter-rust"), strategy=strategy, wait=False)
        for number in range(40):
            deployed.actor(f"k{number}").tell({"divide": 0})
        failed = failed_until(host, deployed, lambda failed, idle: failed >= 10 and idle >= 19)
        assert failed <= 20
        assert (await rollout.wait()).state == "taken-back"


@on_a_real_loop
async def test_a_security_fix_that_traps_is_held_by_nobody(state):
    """It is never taken back by itself, so that its actors go on, restarted by their supervisor."""
    async with Host.open(state) as host:
        deployed = await fleet(host, "counter-rust-2")
        strategy = Canary(steps=[75], step_duration=3600, security_fix=True)
        rollout = await deployed.deploy(guest("counter-rust"), strategy=strategy, wait=False)
        for message in [{"divide": 0}, {"add": 1}]:
            for number in range(40):
                deployed.actor(f"k{number}").tell(message)
        # Of forty-one, with the main actor; each once, since nothing restarts them meanwhile.
        assert failed_until(host, deployed, lambda failed, _: failed >= 30) <= 31
        assert (await rollout.promote()).state == "promoted"
        answers = [await deployed.actor(f"k{number}").ask("get") for number in range(40)]
        assert answers == [1] * 40
