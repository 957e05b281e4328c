"""A deploy that names no strategy goes by the operator's file, whoever makes it."""

from __future__ import annotations

import pytest
from delivery_guests import adder

from airssys.wasm import BlueGreen, Host, RolloutTakenBack, StrategyUnsupported, Trap
from airssys.wasm.settings import settings_from

NAME = "acme/calc"
CANARY = """
schema = 1
[host]
state = "state"
[deployments."acme/calc"]
source = "calc.wat"
strategy = "canary"
steps = [20, 50]
step_duration = "20ms"
analysis = { alpha = 0.01, min_calls = 60, acceptable = 0.2, warm_up = 0 }
bounds = { traps = "any", past = "any", p99 = "30s" }
"""


@pytest.fixture
def filed(tmp_path):
    """Write the operator's file and the component that it names; say where the file is."""

    def write(text=CANARY):
        (tmp_path / "calc.wat").write_bytes(adder(1))
        file = tmp_path / "airssys.toml"
        file.write_text(text)
        return file

    return write


def failing():
    return adder(2, traps_every=2)


def test_a_canary_of_the_file_takes_back_a_failing_revision_and_lets_a_good_one_in(filed, load):
    with Host.open_blocking(configuration=filed()) as host:
        calc = host.deploy(name=NAME, lifetime="pooled")
        assert calc.rollout().status().strategy == "blue-green", "there was nothing to move from"
        again = host.deploy(failing(), name=NAME, lifetime="pooled")
        assert again.revision.number == 1, "it returns when the first step is taken"
        status = again.rollout().status()
        assert (status.strategy, status.steps, status.weight) == ("canary", (0.2, 0.5), 0.2)
        with load(calc) as books:
            status = again.rollout().wait(50)
            assert status.state == "taken-back"
            assert status.judgement.alpha == 0.01
            assert {type(error) for error in books.failed} == {Trap}
            with pytest.raises(RolloutTakenBack):  # of the other form of a deploy, which waits
                calc.deploy(failing())
            assert calc.deploy(adder(3)).revision.number == 4
        assert [each.strategy for each in calc.rollouts()] == [None, "canary", "canary", "canary"]


def test_what_a_caller_says_wins_and_what_is_live_is_moved_nowhere(filed):
    with Host.open_blocking(configuration=filed()) as host:
        calc = host.deploy(name=NAME)
        assert calc.deploy(adder(2), strategy=BlueGreen()).call("version") == 2
        assert host.deploy(adder(3), name=NAME, strategy=BlueGreen()).call("version") == 3
        # A single actor has no share to move; that is said where something is to move.
        other = host.deploy(adder(3), name=NAME)
        assert other.revision.number == 3
        with pytest.raises(StrategyUnsupported, match="takes calls, the other messages"):
            host.deploy(adder(3), name=NAME, lifetime="actor")


def test_a_plan_says_how_it_would_take_over(filed):
    with Host.open_blocking(configuration=filed()) as host:
        first = host.plan(adder(1), name=NAME, settings=settings_from())
        assert (first.strategy, first.settings) == (None, ())
        calc = host.deploy(name=NAME)
        found = host.plan(adder(2), name=NAME, settings=settings_from())
        assert found.possible, found.problems
        assert found.settings == (), "compared is what would be in effect"
        assert found.strategy["kind"] == "canary"
        assert list(found.strategy["steps"]) == [20, 50]
        assert found.strategy["analysis"]["acceptable"] == 0.2
        assert found.strategy["bounds"]["traps"] is None
        said = host.plan(adder(2), name=NAME, settings=settings_from(), strategy=BlueGreen())
        assert said.strategy == {"kind": "blue-green"}
        assert host.plan(adder(1), name=NAME, settings=settings_from()).strategy is None
        assert calc.revision.number == 1


@pytest.mark.parametrize("strategy", ["rolling", "shadow"])
async def test_other_strategies_of_the_file_are_followed_too(filed, strategy):
    text = f"schema = 1\n[deployments.'{NAME}']\nsource = 'calc.wat'\nstrategy = '{strategy}'\n"
    file = filed(text)
    async with Host.open(file.parent / "state", configuration=file) as host:
        await host.deploy(name=NAME)
        calc = await host.deploy(adder(2), name=NAME)
        assert (await calc.rollout().status()).strategy == strategy
        assert (await calc.rollout().abort()).state == "taken-back"
