"""Whole rollouts on virtual time: the controller against a simulated stream of calls."""

from __future__ import annotations

import asyncio
import datetime as dt
import random

import pytest

from airssys.wasm.delivery import (
    Analysis,
    Bounds,
    Canary,
    InvalidStrategy,
    Rolling,
    RolloutChanged,
    Stage,
)
from airssys.wasm.delivery.controller import Command, Figures, GetStatus, RolloutController
from airssys.wasm.delivery.records import Baseline, RolloutStep
from airssys.wasm.delivery.store import OpenRollout
from airssys.wasm.delivery.strategies import decode_strategy, encode_strategy, weights_of
from airssys.wasm.host_errors import StateWriteFailed


class Traffic:
    """A ground on which calls come at a rate, and fail at one for each revision."""

    moves_first = False

    def __init__(self, rng, weight, live=0.001, new=0.001, rate=200, traps=False):
        self.rng = rng
        self.rates = (live, new)
        self.per_tick = rate // 10
        self.signals = ("error", "trap") if traps else ("error",)
        self.counts = [[weight, [0, 0], [0, 0]]]
        self.records = []
        self.finished = []
        self.poke = None
        self.full = False
        self.recorded = asyncio.Event()

    async def flow(self):
        while not self.finished:
            await asyncio.sleep(0.1)
            weight, calls, bad = self.counts[-1]
            rang = False
            for _ in range(self.per_tick):
                side = int(self.rng.random() < weight)
                calls[side] += 1
                if self.rng.random() < self.rates[side]:
                    bad[side] += 1
                    rang = True
            if rang and self.poke:
                self.poke()

    def stages(self):
        return [
            Stage(
                weight=weight,
                calls=tuple(calls),
                bad={signal: tuple(bad) for signal in self.signals},
            )
            for weight, calls, bad in self.counts
        ]

    def figures(self):
        return Figures(p50=(0.001, 0.001), p99=(0.01, 0.02))

    def stopped(self):
        return False

    def watch(self, poke):
        self.poke = poke

        def end():
            self.poke = None

        return end

    async def record(self, **entry):
        if self.full:
            raise StateWriteFailed("cannot record the rollout: the disk is full")
        step = RolloutStep(sequence=len(self.records) + 2, at=dt.datetime.now(dt.UTC), **entry)
        self.records.append(step)
        self.recorded.set()
        return step

    async def set_weight(self, weight):
        self.counts.append([weight, [0, 0], [0, 0]])

    async def finish(self, step):
        assert self.records[-1] == step, "recorded before it is done"
        self.finished.append(step.state)


def opened(strategy, baseline=None, **last):
    step = RolloutStep(
        sequence=1,
        at=dt.datetime.now(dt.UTC),
        **{
            "kind": "step",
            "state": "running",
            "step": 0,
            "weight": weights_of(strategy)[0],
            "who": "me",
            "why": "",
        }
        | last,
    )
    return OpenRollout(
        id=7,
        deployment="acme/calc",
        from_revision=1,
        to_revision=2,
        strategy=strategy,
        salt=b"",
        baseline=baseline or Baseline(),
        last=step,
        recoveries=0,
    )


class Rollout:
    def __init__(self, system, strategy, seed=1, rollout=None, **traffic):
        self.system = system
        self.ground = Traffic(random.Random(seed), weights_of(strategy)[0], **traffic)
        self.rollout = rollout or opened(strategy)
        self.over = asyncio.get_running_loop().create_future()
        self.events = []
        system.events.subscribe(self.events.append, RolloutChanged)

    async def __aenter__(self):
        self.controller = await self.system.spawn(
            RolloutController, self.ground, self.rollout, self.over.set_result, name="rollout"
        )
        self.flow = asyncio.ensure_future(self.ground.flow())
        return self

    async def __aexit__(self, *error):
        self.flow.cancel()
        await self.controller.stop()
        # A bell may ring while it ends.
        self.system.dead_letters.ignore()

    async def command(self, what, **more):
        return await self.controller.ask(Command(what, "me", **more), timeout=5)

    async def status(self):
        return await self.controller.ask(GetStatus(), timeout=5)

    async def records(self, count):
        """Wait until so many things have been recorded."""
        async with asyncio.timeout(36_000):
            while len(self.ground.records) < count:
                self.ground.recorded.clear()
                await self.ground.recorded.wait()

    def did(self):
        return [step.kind for step in self.ground.records]


FAST = Canary(steps=[1, 5, 25, 50], step_duration=60, analysis=Analysis(min_calls=200))


async def test_a_good_revision_takes_every_step_and_is_promoted(system):
    async with Rollout(system, FAST) as rollout:
        status = await asyncio.wait_for(rollout.over, 3600)
        assert status.state == "promoted"
        assert rollout.ground.finished == ["promoted"]
        assert rollout.did() == ["step", "step", "step", "promoted"]
        assert [step.weight for step in rollout.ground.records] == [0.05, 0.25, 0.5, 1.0]
        # A step lasts as long as it says, and longer where the evidence is not there yet.
        assert system.now >= 4 * 60
        assert rollout.ground.records[-1].judgement.verdict == "good"


@pytest.mark.parametrize("seed", range(5))
async def test_a_revision_that_fails_one_in_twenty_is_taken_back_in_the_first_step(system, seed):
    async with Rollout(system, FAST, seed=seed, new=0.05) as rollout:
        status = await asyncio.wait_for(rollout.over, 3600)
        assert status.state == "taken-back"
        assert rollout.did() == ["taken-back"]
        assert rollout.ground.records[-1].judgement.verdict == "worse"
        assert "calls of the new revision were bad" in status.why
        seen = sum(stage.bad["error"][1] for stage in rollout.ground.stages())
        assert seen <= 12, "users saw few of its failures"


async def test_a_revision_that_gets_worse_later_is_taken_back_later(system):
    async with Rollout(system, FAST) as rollout:
        await rollout.records(2)
        rollout.ground.rates = (0.001, 0.1)
        status = await asyncio.wait_for(rollout.over, 3600)
        assert status.state == "taken-back"
        assert rollout.did() == ["step", "step", "taken-back"]


async def test_the_first_trap_of_a_revision_takes_it_back_where_the_live_one_has_none(system):
    async with Rollout(system, FAST, live=0.0, new=0.02, traps=True) as rollout:
        status = await asyncio.wait_for(rollout.over, 600)
        assert status.state == "taken-back"
        assert status.why.endswith("outside the stated false-alarm rate)")
        assert sum(stage.bad["trap"][1] for stage in rollout.ground.stages()) == 1


async def test_a_bell_wakes_it_before_the_next_regular_look(system):
    strategy = Canary(steps=[50], step_duration=600)
    async with Rollout(system, strategy, live=0.0, new=1.0, traps=True) as rollout:
        await asyncio.wait_for(rollout.over, 600)
        assert system.now < 0.2


async def test_without_evidence_it_holds_and_goes_on_by_itself_when_there_is_some(system):
    analysis = Analysis(min_calls=500, max_wait=100)
    strategy = Canary(steps=[20], step_duration=10, analysis=analysis)
    async with Rollout(system, strategy, rate=10, live=0.0, new=0.0) as rollout:
        await rollout.records(1)
        assert rollout.did() == ["held"]
        assert 100 <= system.now < 105
        assert (await rollout.status()).why.startswith("not enough evidence after 10")
        rollout.ground.per_tick = 20
        assert (await asyncio.wait_for(rollout.over, 600)).state == "promoted"


async def test_asking_waits_for_a_person(system):
    analysis = Analysis(min_calls=500, max_wait=100, insufficient="ask")
    strategy = Canary(steps=[20], step_duration=10, analysis=analysis)
    async with Rollout(system, strategy, rate=10, live=0.0, new=0.0) as rollout:
        await rollout.records(1)
        assert rollout.did() == ["held"]
        rollout.ground.per_tick = 20
        await asyncio.sleep(400)
        assert rollout.did() == ["held"]
        await rollout.command("resume", why="it is night")
        status = await asyncio.wait_for(rollout.over, 600)
        assert status.state == "promoted"


async def test_paused_it_stays_but_what_is_clearly_worse_is_taken_back(system):
    async with Rollout(system, FAST) as rollout:
        status = await rollout.command("pause", why="lunch")
        assert (status.state, status.why, status.who) == ("paused", "lunch", "me")
        await asyncio.sleep(400)
        assert rollout.did() == ["paused"]
        rollout.ground.rates = (0.001, 0.2)
        assert (await asyncio.wait_for(rollout.over, 600)).state == "taken-back"


async def test_a_weight_by_hand_stays_until_it_is_resumed(system):
    async with Rollout(system, FAST) as rollout:
        await rollout.command("weight", weight=0.2)
        await asyncio.sleep(400)
        status = await rollout.status()
        assert (status.state, status.weight) == ("paused", 0.2)
        assert rollout.ground.counts[-1][0] == 0.2
        await rollout.command("resume")
        assert rollout.ground.counts[-1][0] == 0.01
        assert (await asyncio.wait_for(rollout.over, 3600)).state == "promoted"


@pytest.mark.parametrize(("what", "state"), [("promote", "promoted"), ("abort", "taken-back")])
async def test_a_person_may_end_it_at_once(system, what, state):
    async with Rollout(system, FAST) as rollout:
        status = await rollout.command(what)
        assert status.state == (await rollout.over).state == state
        assert rollout.ground.finished == [state]
        with pytest.raises(Exception, match=r"no_actor|ended"):
            await rollout.command("pause")


async def test_a_security_fix_is_held_and_never_taken_back_by_itself(system):
    strategy = Canary(steps=[5, 50], security_fix=True)
    async with Rollout(system, strategy, new=0.2) as rollout:
        await rollout.records(1)
        await asyncio.sleep(100)
        assert rollout.did() == ["held"]
        assert rollout.ground.records[0].why.endswith("held, since the rollout is a security fix")
        assert (await rollout.command("abort")).state == "taken-back"


async def test_harm_to_both_revisions_pauses_with_every_call_on_the_live_one(system):
    rollout = opened(FAST, Baseline(failure_rate=0.001))
    async with Rollout(system, FAST, live=0.05, new=0.05, rollout=rollout) as rollout:
        await rollout.records(1)
        assert rollout.did() == ["paused"]
        assert rollout.ground.counts[-1][0] == 0.0
        assert "on both revisions together" in rollout.ground.records[0].why


async def test_a_judge_that_objects_takes_it_back_and_one_that_fails_pauses(system):
    def revenue(status):
        return "revenue fell" if status.step == 1 else None

    async def broken(status):
        raise RuntimeError("no metrics")

    strategy = Canary(steps=[5, 50], step_duration=30, judges=[revenue])
    async with Rollout(system, strategy, live=0, new=0) as rollout:
        status = await asyncio.wait_for(rollout.over, 3600)
        assert (status.state, status.why) == ("taken-back", "the judge 'revenue': revenue fell")
    strategy = Canary(steps=[5, 50], judges=[broken])
    async with Rollout(system, strategy) as rollout:
        await asyncio.sleep(30)
        assert rollout.did() == ["paused"]
        assert "no metrics" in rollout.ground.records[0].why


async def test_rolling_waits_for_no_evidence_and_takes_back_what_is_clearly_worse(system):
    strategy = Rolling(shares=4, step_duration=5)
    async with Rollout(system, strategy, rate=10) as rollout:
        assert (await asyncio.wait_for(rollout.over, 600)).state == "promoted"
        assert [step.weight for step in rollout.ground.records] == [0.5, 0.75, 1.0]
        assert 15 <= system.now < 20
    async with Rollout(system, strategy, new=0.3) as rollout:
        assert (await asyncio.wait_for(rollout.over, 600)).state == "taken-back"


async def test_bounds_are_held_without_evidence(system):
    strategy = Canary(steps=[50], bounds=Bounds(p99=0.015), analysis=None)
    async with Rollout(system, strategy) as rollout:
        status = await asyncio.wait_for(rollout.over, 600)
        assert status.why.startswith("p99 is 0.02 s, the bound is 0.015 s")
    strategy = Canary(steps=[50], bounds=Bounds(error_rate=0.1), analysis=None)
    async with Rollout(system, strategy, live=0.3, new=0.3) as rollout:
        status = await asyncio.wait_for(rollout.over, 600)
        assert "calls failed, more than 10.00%" in status.why


async def test_what_cannot_be_recorded_is_not_done_and_tried_again(system):
    async with Rollout(system, FAST) as rollout:
        rollout.ground.full = True
        await asyncio.sleep(600)
        assert (await rollout.status()).weight == 0.01
        with pytest.raises(Exception, match="disk is full"):
            await rollout.command("promote")
        assert not rollout.ground.finished
        rollout.ground.full = False
        assert (await asyncio.wait_for(rollout.over, 3600)).state == "promoted"


async def test_a_bad_revision_gets_no_calls_even_when_that_cannot_be_recorded(system):
    async with Rollout(system, FAST, new=0.3) as rollout:
        rollout.ground.full = True
        await asyncio.sleep(60)
        assert rollout.ground.counts[-1][0] == 0.0
        rollout.ground.full = False
        assert (await asyncio.wait_for(rollout.over, 60)).state == "taken-back"


async def test_a_rollout_goes_on_with_what_was_counted_before_its_host_ended(system):
    before = Stage(weight=0.01, calls=(19_800, 400), bad={"error": (0, 0)})
    recovered = opened(FAST, kind="recovered", step=2, weight=0.25, stages=(before,))
    async with Rollout(system, FAST, rollout=recovered) as rollout:
        status = await rollout.status()
        assert (status.step, status.weight, status.calls) == (2, 0.25, (19_800, 400))
        assert (await asyncio.wait_for(rollout.over, 3600)).state == "promoted"
        assert rollout.did() == ["step", "promoted"]


async def test_a_revision_under_which_the_host_keeps_ending_is_taken_back(system):
    recovered = opened(FAST, kind="recovered")
    object.__setattr__(recovered, "recoveries", 3)
    async with Rollout(system, FAST, rollout=recovered) as rollout:
        status = await asyncio.wait_for(rollout.over, 60)
        assert (status.state, status.why) == (
            "taken-back",
            "the host ended 3 times during this rollout",
        )


async def test_events_say_what_is_on_record(system):
    async with Rollout(system, FAST) as rollout:
        await asyncio.wait_for(rollout.over, 3600)
        assert [event.step for event in rollout.events[1:]] == rollout.ground.records
        assert rollout.events[-1].status.over


async def test_healthy_canaries_are_rarely_taken_back(system):
    """Whole rollouts, at alpha 0.05 all signals together."""
    analysis = Analysis(alpha=0.05, min_calls=100)
    strategy = Canary(steps=[20, 50], step_duration=20, analysis=analysis, bounds=Bounds(past=None))
    states = []
    for seed in range(12):
        async with Rollout(system, strategy, seed=seed, live=0.02, new=0.02, rate=100) as rollout:
            states.append((await asyncio.wait_for(rollout.over, 36_000)).state)
    assert states.count("taken-back") <= 3


@pytest.mark.parametrize(
    "strategy",
    [
        FAST,
        Canary(analysis=None, bounds=Bounds(p99=0.5, traps=None), security_fix=True),
        Rolling(shares=10),
    ],
)
def test_a_strategy_is_recorded_whole(strategy):
    assert decode_strategy(encode_strategy(strategy)) == strategy


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"kind": "canari"}', "canari"),
        ('{"kind": "canary", "step": [1]}', "no field 'step'"),
        ('{"kind": "canary", "steps": [5, 1]}', "must grow"),
        ('{"kind": "canary", "steps": [50, 100]}', "95 percent or less"),
        ('{"kind": "canary", "steps": []}', "must grow"),
        ('{"kind": "canary", "steps": ["a"]}', "percentages"),
        ('{"kind": "canary", "analysis": {"alfa": 1}}', "alfa"),
        ('{"kind": "rolling", "shares": 1}', "shares"),
        ('{"kind": "recreate", "wait": -1}', "wait"),
        ("[]", "JSON object"),
    ],
)
def test_what_is_no_strategy_is_refused_by_name(text, told):
    with pytest.raises(InvalidStrategy, match=told):
        decode_strategy(text)
