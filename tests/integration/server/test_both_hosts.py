"""What a host of this process does, a host in another does too: one suite for both."""

from __future__ import annotations

import datetime as dt
from typing import Protocol

import pytest

from airssys.rt import AskTimeout
from airssys.wasm import (
    Canary,
    DeploymentIsActor,
    DeploymentIsNoActor,
    GuestError,
    Host,
    InvalidDeploymentName,
    InvalidSetting,
    Limits,
    NothingToRollBackTo,
    Replay,
    ReplayDiffers,
    RolloutInProgress,
    UnknownDeployment,
    UnknownExport,
    UnknownGrant,
    UnknownImport,
    UnknownRevision,
)
from airssys.wasm.actors import ActorSettings
from airssys.wasm.actors.failures import GuestRefused
from airssys.wasm.contracts import ContractMismatch, InvalidContract, interface, world
from airssys.wasm.settings import settings_from

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module", params=["here", "served"])
def host(request, tmp_path_factory):
    if request.param == "served":
        with Host.connect_blocking(request.getfixturevalue("shared").address) as host:
            yield host
    else:
        with Host.open_blocking(tmp_path_factory.mktemp("here") / "state") as host:
            yield host


def test_deployments_are_found_by_name(host, guest):
    calc = host.deploy(guest("calculator"), name="acme/calc")
    assert (calc.name, calc.namespace, calc.held) == ("acme/calc", "acme", None)
    assert "acme/calc" in [each.name for each in host.deployments()]
    assert host.deployment("acme/calc").revision == calc.revision
    assert "add" in calc.exports
    with pytest.raises(UnknownDeployment) as unknown:
        host.deployment("acme/calk")
    assert unknown.value.hint == "did you mean acme/calc?"
    assert unknown.value.context["near"] == ["acme/calc"]
    with pytest.raises(InvalidDeploymentName):
        host.deploy(guest("calculator"), name="Acme/calc")


@world("calculator")
class Mean(Protocol):
    """What a calculator has, in part."""

    def mean(self, values: list[float]) -> float | None: ...


@world("calculator")
class OtherMean(Protocol):
    """The same, otherwise."""

    def mean(self, values: list[int]) -> float: ...


@world("calculator")
class Version(Protocol):
    """What a calculator has besides."""

    def version(self) -> str: ...


@interface("acme:crm/contacts@1.0.0")
class Contacts(Protocol):
    """What a calculator has not."""

    def find(self, name: str) -> str: ...


def test_a_deployment_is_held_to_a_contract_and_called_by_it(host, guest):
    empty = b"\0asm\x0d\x00\x01\x00"
    with pytest.raises(ContractMismatch, match="calculator: mean is missing") as caught:
        host.deploy(empty, name="acme/mean", implements=Mean)
    assert caught.value.interface == "calculator"
    calc = host.deploy(guest("calculator"), name="acme/mean", implements=Mean)
    assert calc.implementing(Mean).mean([1.0, 2.0]) == 1.5
    assert calc.implementing(Mean).mean([]) is None
    with pytest.raises(ContractMismatch, match="mean is missing"):
        calc.deploy(empty, drain=1.0)
    with pytest.raises(ContractMismatch, match=r"contacts@1\.0\.0: it exports demo:calc"):
        calc.implementing(Contacts)
    with pytest.raises(InvalidContract, match="is no contract"):
        calc.implementing(int)
    with pytest.raises(ContractMismatch, match="mean is func"):
        calc.deploy(guest("calculator-1-1"), implements=OtherMean)
    assert calc.revision.number == 1
    planned = host.plan(empty, name="acme/mean", settings=settings_from())
    assert [each for each in planned.problems if "does not implement calculator" in each]
    calc.deploy(guest("calculator-1-1"), implements=Version)
    assert calc.implementing(Version).version() == "1.1.0"
    with pytest.raises(ContractMismatch, match="version is missing"):
        calc.deploy(empty)
    assert calc.revision.number == 2


def test_one_key_meets_one_revision_of_a_rollout(host, guest):
    calc = host.deploy(guest("calculator"), name="acme/sticky")
    rollout = calc.deploy(guest("calculator-1-1"), strategy=Canary(steps=(50,)), wait=False)
    keys = [f"person-{number}" for number in range(40)]
    for _ in range(3):
        for key in keys:
            assert calc.call_for(key, "add", 2, 3) == 5
    first, second = (each.calls for each in calc.statistics().revisions)
    assert first + second == 120
    assert first % 3 == second % 3 == 0
    assert min(first, second) > 0
    rollout.abort()


def test_functions_are_called_by_path_and_as_attributes(host, guest):
    calc = host.deploy(guest("calculator"), name="acme/called")
    assert calc.call("add", 2, b=3) == calc.api.add(2, 3) == 5
    assert calc.api["demo:calc/ops"].divide(7, 2) == 3
    assert host.call("acme/called", "mean", []) is None
    with pytest.raises(AttributeError, match="did you mean add"):
        _ = calc.api.addd
    with pytest.raises(UnknownExport) as unknown:
        calc.call("versoin")
    assert unknown.value.near == ["version"]
    with pytest.raises(TypeError, match="add takes 2 arguments, got 1"):
        calc.call("add", 1)
    with pytest.raises(GuestError) as refused:
        calc.api["demo:calc/ops"].divide(1, 0)
    assert type(refused.value.value).__name__ == "DivisionByZero"


def test_revisions_are_numbered_and_gone_back_to(host, guest):
    calc = host.deploy(guest("calculator"), name="acme/revised", why="one")
    same = host.deploy(guest("calculator").read_bytes(), name="acme/revised")
    assert same.revision.number == 1
    calc.deploy(guest("calculator-1-1"), lifetime="pooled", instances=2, why="two")
    settings = calc.revision.settings
    assert (settings.lifetime, settings.instances) == ("pooled", 2)
    calc.deploy(guest("calculator-2"))
    assert calc.revision.settings.instances == 2
    assert calc.rollback(1, why="back").number == 1
    assert [(each.number, each.why) for each in calc.history()] == [(1, "one"), (2, "two"), (3, "")]
    assert [each.to_revision for each in calc.rollouts()] == [1, 2, 3, 1]
    with pytest.raises(UnknownRevision, match="its revisions are 1, 2, 3"):
        calc.rollback(7)
    with pytest.raises(NothingToRollBackTo):
        calc.rollback()


def test_a_revision_is_tried_beside_the_live_one(host, guest):
    calc = host.deploy(guest("calculator"), name="acme/tried")
    rollout = calc.deploy(
        guest("calculator-1-1"), strategy=Canary(steps=[50]), wait=False, why="try it"
    )
    assert (rollout.status().state, rollout.status().to_revision) == ("running", 2)
    with pytest.raises(RolloutInProgress):
        calc.deploy(guest("calculator-2"))
    assert rollout.set_weight(100, why="look").weight == 1.0
    assert calc.api.version() == "1.1.0"
    assert rollout.pause().state == "paused"
    ended = rollout.abort(why="no")
    assert (ended.state, ended.why, calc.revision.number) == ("taken-back", "no", 1)
    assert calc.api.version() == "1.0.0"
    promoted = calc.deploy(guest("calculator-2"), strategy=Canary(steps=[50]), wait=False)
    assert promoted.promote(why="yes").state == "promoted"
    assert promoted.wait().state == "promoted"
    assert calc.revision.number == 3
    assert [each.kind for each in promoted.events()][-1] == "promoted"


def test_what_cannot_be_is_refused_and_changes_nothing(host, guest, text_guest):
    with pytest.raises(UnknownImport) as unknown:
        host.deploy(guest("faults"), name="acme/faults")
    assert unknown.value.name.startswith("demo:faults/sink")
    with pytest.raises(InvalidSetting, match="instances must be"):
        host.deploy(guest("calculator"), name="acme/faults", instances=0)
    with pytest.raises(FileNotFoundError):
        host.deploy("nowhere.wasm", name="acme/faults")
    assert "acme/faults" not in [each.name for each in host.deployments()]


def test_grants_are_made_shown_and_taken_back(host, guest):
    calc = host.deploy(
        guest("calculator"), name="acme/granted", capabilities={"environment": ["TZ", "LANG"]}
    )
    assert [each.state for each in calc.requests()] == ["not", "not"]
    until = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    (first,) = calc.grant("environment[0]", why="for a while", until=until)
    assert (first.target, first.until, first.why) == ("TZ", until, "for a while")
    assert calc.requests()[0].state == "partly"
    calc.grant()
    assert calc.grants()[0] == first
    assert calc.revoke(first) == (first,)
    with pytest.raises(UnknownGrant):
        calc.revoke(first.id)
    with pytest.raises(InvalidSetting, match="has no request"):
        calc.grant("http[0]")
    with pytest.raises(InvalidSetting, match="no time zone"):
        calc.grant(until=dt.datetime(2030, 1, 1))  # noqa: DTZ001 - what is refused
    calc.revoke("all")
    assert calc.grants() == ()


def test_actors_take_messages(host, guest):
    counter = host.deploy(
        guest("counter-rust"),
        name="acme/counter",
        lifetime="actor",
        actor=ActorSettings(codec="json", config={"start": 40}),
    )
    main, ann = counter.actor(), counter.actor("ann")
    assert main.ask({"add": 2}) == 42
    ann.tell({"add": 1})
    assert ann.ask("get") == 41
    assert (ann.address, ann.alive) == ("acme/counter#ann", True)
    with pytest.raises(GuestRefused):
        main.ask({"add": 2**63 - 1}, timeout=30.0)
    assert {each.key for each in host.actors("acme/counter")} == {"", "ann"}
    assert ann.stop(drain=True).kind == "shutdown"
    with pytest.raises(DeploymentIsActor):
        counter.call("get")
    calc = host.deploy(guest("calculator"), name="acme/no-actor")
    with pytest.raises(DeploymentIsNoActor):
        calc.actor()


def test_an_ask_has_a_deadline(host, guest):
    puppet = host.deploy(
        guest("actor-puppet"),
        name="acme/puppet",
        lifetime="actor",
        actor=ActorSettings(codec="json"),
        limits=Limits(call_timeout=60),
    )
    with pytest.raises(AskTimeout):
        puppet.actor().ask({"do": [["sleep", 3]]}, timeout=0.2)


def test_logs_are_read(host, guest):
    puppet = host.deploy(
        guest("actor-puppet"),
        name="acme/logging",
        lifetime="actor",
        actor=ActorSettings(codec="json"),
    )
    puppet.actor().ask({"do": [["log", "warning", "careful", {"a": "b"}]]})
    while not (lines := puppet.logs(level="warning")):
        pass
    assert (lines[0].message, lines[0].fields) == ("careful", {"a": "b"})


def test_use_is_counted(host, guest):
    calc = host.deploy(guest("calculator"), name="count/calc")
    for number in range(3):
        calc.api.add(number, 1)
    assert calc.statistics().calls == calc.usage().calls == host.usage("count").calls == 3


def test_a_removed_deployment_is_gone(host, guest):
    calc = host.deploy(guest("calculator"), name="acme/gone")
    calc.remove(why="done")
    with pytest.raises(UnknownDeployment):
        host.deployment("acme/gone")


def test_recorded_calls_are_made_again_before_a_revision_goes_live(host, guest):
    calc = host.deploy(guest("calculator"), name="acme/replayed", replay=Replay(ignore=["version"]))
    assert calc.revision.settings.replay.calls == 200
    assert calc.call("version") == "1.0.0"
    assert calc.call("demo:calc/ops#divide", 7, 2) == 3
    for number in range(3):
        calc.call("add", number, 1)
    # It has another signature of `add`, or none.
    content = guest("calculator-2").read_bytes()
    settings = calc.revision.settings
    report = host.plan(content, name="acme/replayed", settings=settings, inherited=True).replay
    assert report.left_out > 0
    plan = host.plan(
        guest("calculator-1-1").read_bytes(),
        name="acme/replayed",
        settings=settings,
        inherited=True,
    )
    assert (plan.possible, plan.replay.same, plan.replay.different) == (True, 4, 0)
    with pytest.raises(ReplayDiffers, match=r'version\(\) gives "1.1.0", and gave "1.0.0"'):
        calc.deploy(guest("calculator-1-1"), replay=Replay())
    calc.deploy(guest("calculator-1-1"))
    assert calc.call("version") == "1.1.0"
