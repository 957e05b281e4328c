"""However many deployments there are: one set of rules, compiled once for each change of all."""

from __future__ import annotations

from pathlib import Path

from airssys.osl import read_records
from airssys.wasm import Host

GUEST = Path(__file__).parents[3] / "build" / "components" / "calculator.wasm"
MANY = 40
ASKS = {"filesystem": [{"path": "/data/**", "access": ["read"]}], "environment": ["TZ"]}
RULES = 4  # two requests and two grants of each


def loads(state: Path) -> list[str]:
    """What was compiled, one line for each compilation."""
    return [
        record.detail.partition(",")[0]
        for record in read_records(state / "audit", operation="gate.load")
    ]


def test_opening_and_reloading_compile_the_rules_of_all_deployments_once(tmp_path: Path) -> None:
    state, data = tmp_path / "state", tmp_path / "data"
    data.mkdir()
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\nto = ["*"]\naccess = ["read"]\ntarget = ["/**"]\n')
    with Host.open_blocking(state, policy=policy) as host:
        for number in range(MANY):
            host.deploy(
                GUEST,
                name=f"acme/calc-{number}",
                capabilities=ASKS,
                mounts={"/data": data},
                grant="requested",
            )
        host.osl.audit.flush()
        before = len(loads(state))
        # A deploy compiles once, whatever it adds.
        assert before <= MANY + 1
    with Host.open_blocking(state, policy=policy) as host:
        host.osl.audit.flush()
        # The policy first, so that nothing runs without it; then all deployments at once.
        assert loads(state)[before:] == ["1 rules", f"{MANY * RULES + 1} rules"]
        host.osl.reload()
        host.osl.audit.flush()
        assert loads(state)[before + 2 :] == [f"{MANY * RULES + 1} rules"]
