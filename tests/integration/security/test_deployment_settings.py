"""What deployments read of their environment and configuration, and where secrets come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airssys.osl import read_records
from airssys.wasm import Host, InvalidSetting
from airssys.wasm.manifest.component_manifest import Capabilities

GUEST = Path(__file__).parents[3] / "build" / "components" / "file-reader.wasm"
NAME = "acme/reader"
KEY = "correct horse battery staple"
PLACE = {"API_KEY": "${secret:api_key}", "HOME": "/root"}


def test_variables_are_requested_and_configuration_is_the_deployments_own(tmp_path: Path) -> None:
    with Host.open_blocking(tmp_path / "state", secrets={"api_key": KEY}) as host:
        reader = host.deploy(
            GUEST,
            name=NAME,
            lifetime="pooled",
            capabilities=Capabilities(environment=("API_KEY",)),
            environment=PLACE,
            config={"server.port": 80, "token": "Bearer ${secret:api_key}", "debug": True},
            grant="requested",
        )
        shown = reader.call("variable", "API_KEY")
        assert shown.startswith("secret-api_key-")
        assert reader.call("variable", "HOME") is None
        assert reader.call("setting", "server.port") == "80"
        assert reader.call("setting", "debug") == "true"
        assert reader.call("setting", "token") == f"Bearer {shown}"
        assert reader.call("setting", "none") is None
        host.osl.audit.flush()
        decided = {
            (record.operation, record.target, record.decision)
            for record in read_records(host.directory / "audit", principal=NAME)
            if record.operation.startswith(("environment.", "config."))
        }
    assert decided == {
        ("environment.read", "API_KEY", "allow"),
        ("environment.read", "HOME", "deny"),
        ("config.read", "server.port", "allow"),
        ("config.read", "debug", "allow"),
        ("config.read", "token", "allow"),
        ("config.read", "none", "allow"),
    }
    kept = [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert not [content for content in kept if KEY.encode() in content]


def test_a_place_without_its_secret_is_refused_and_holds_on_reopening(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with (
        Host.open_blocking(state) as host,
        pytest.raises(InvalidSetting, match="no secrets were given"),
    ):
        host.deploy(GUEST, name=NAME, environment=PLACE)
    with Host.open_blocking(state, secrets={"api_key": KEY}) as host:
        host.deploy(GUEST, name=NAME, environment=PLACE)
    with Host.open_blocking(state) as host:
        assert "no secrets were given" in str(host.deployment(NAME).held)
    with Host.open_blocking(state, secrets=lambda name: json.dumps({name: KEY})) as host:
        assert host.deployment(NAME).held is None
