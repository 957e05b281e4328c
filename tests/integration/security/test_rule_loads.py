"""However many deployments there are: a change compiles the rules of what changed, no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from airssys.osl import OSL, read_records
from airssys.wasm import Host

GUEST = Path(__file__).parents[3] / "build" / "components" / "calculator.wasm"
MANY = 40
ASKS = {"filesystem": [{"path": "/data/**", "access": ["read"]}], "environment": ["TZ"]}
RULES = 4  # two requests and two grants of each


class Loads:
    """What was compiled since this was asked last: whose rules, and how many."""

    def __init__(self, host: object, log: Path) -> None:
        self.host, self.log, self.seen = host, log, 0

    def __call__(self) -> list[tuple[str, int]]:
        self.host.osl.audit.flush()
        records = list(read_records(self.log, operation="gate.load"))[self.seen :]
        self.seen += len(records)
        return [(each.target, int(each.detail.partition(" ")[0])) for each in records]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\nto = ["*"]\naccess = ["read"]\ntarget = ["/**"]\n')
    return policy


def deploy(host: object, folder: Path, number: int):
    (folder / "data").mkdir(exist_ok=True)
    return host.deploy(
        GUEST,
        name=f"acme/calc-{number}",
        capabilities=ASKS,
        mounts={"/data": folder / "data"},
        grant="requested",
    )


def test_a_change_compiles_the_rules_of_its_deployment_alone(tmp_path: Path, policy: Path) -> None:
    with Host.open_blocking(tmp_path / "state", policy=policy) as host:
        loads = Loads(host, tmp_path / "state" / "audit")
        deployments = [deploy(host, tmp_path, number) for number in range(MANY)]
        assert loads() == [("", 1), *((each.name, RULES) for each in deployments)]
        chosen = deployments[7]
        chosen.revoke("all", why="it does not need it")
        assert loads() == [(chosen.name, RULES - 2)]
        chosen.remove()
        assert loads() == [(chosen.name, 0)]


def test_opening_compiles_all_in_one_load_and_a_policy_by_itself(
    tmp_path: Path, policy: Path
) -> None:
    state = tmp_path / "state"
    with Host.open_blocking(state, policy=policy) as host:
        loads = Loads(host, state / "audit")
        for number in range(MANY):
            deploy(host, tmp_path, number)
        loads()
    with Host.open_blocking(state, policy=policy) as host:
        loads.host = host
        # The policy first, so that nothing runs without it; then all deployments at once.
        assert loads() == [("", 1), (f"{MANY} principals", MANY * RULES)]
        assert host.osl.gate.rule_count == MANY * RULES + 1
        host.osl.reload()
        assert loads() == [("", 1)]
        assert host.osl.gate.rule_count == MANY * RULES + 1


def test_a_host_that_closes_takes_its_rules_out_of_a_system_that_goes_on(
    tmp_path: Path, policy: Path
) -> None:
    with OSL(policy=policy, audit=tmp_path / "audit") as system:
        with Host.open_blocking(tmp_path / "state", osl=system) as host:
            deploy(host, tmp_path, 1)
            assert system.gate.rule_count == RULES + 1
        assert system.gate.rule_count == 1
