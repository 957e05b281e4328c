"""What a component that is learning used comes back as the request that covers it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airssys.osl import Policy, Rule
from airssys.wasm import GuestError, Host, InvalidSetting
from airssys.wasm.manifest import parse_component_manifest
from airssys.wasm.security.capability_text import (
    Use,
    asking_for,
    capability_text,
    path_in_component,
)
from airssys.wasm.security.mounts import Mount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airssys.wasm import BlockingHost

BUILT = Path(__file__).parents[3] / "build" / "components"
NAME = "acme/reader"
MANIFEST = '[component]\nname = "acme/reader"\nversion = "1.0.0"\n'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "secret").mkdir(parents=True)
    for name in ("a", "b[1]", "secret/key"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def host(tmp_path: Path, data: Path) -> Iterator[BlockingHost]:
    policy = Policy(
        rules=(
            Rule(
                name="no secrets",
                effect="deny",
                to=("*",),
                access=("*",),
                target=(f"{data}/secret/**",),
            ),
            Rule(to=("acme/*",), kind="storage", access=("*",), target=("self/**",)),
            Rule(to=("acme/*",), access=("read",), target=(f"{data}/**",)),
        )
    )
    with Host.open_blocking(tmp_path / "state", policy=policy, development=True) as host:
        yield host


def test_what_was_used_and_not_refused_is_suggested(
    host: BlockingHost, data: Path, tmp_path: Path
) -> None:
    reader = host.deploy(
        BUILT / "file-reader.wasm", name=NAME, mounts={"/in": data}, enforcement="learn"
    )
    for name in ("a", "b[1]", "a"):
        reader.call("open-file", f"/in/{name}")
    with pytest.raises(GuestError):
        reader.call("open-file", "/in/secret/key")
    text = reader.suggest()
    assert text.splitlines() == [
        "[capabilities]",
        (
            'filesystem = [{ path = "/in/a", access = ["read"] }, '
            '{ path = "/in/b\\\\[1\\\\]", access = ["read"] }]'
        ),
    ]
    manifest = parse_component_manifest(f"schema = 1\n{MANIFEST}\n{text}")

    again = host.deploy(
        BUILT / "file-reader.wasm",
        name=NAME,
        mounts={"/in": data},
        capabilities=manifest.capabilities,
        grant="requested",
    )
    again.call("open-file", "/in/b[1]")
    with pytest.raises(GuestError):
        again.call("open-file", "/in/other")

    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            "from airssys.cli import main; main()",
            "manifest",
            "suggest",
            NAME,
            "--state",
            str(tmp_path / "state"),
        ],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert shown.stdout.decode() == text


def test_only_a_development_host_learns(tmp_path: Path) -> None:
    with (
        Host.open_blocking(tmp_path / "other") as host,
        pytest.raises(InvalidSetting, match="learn"),
    ):
        host.deploy(BUILT / "file-reader.wasm", name=NAME, enforcement="learn")


def test_a_refusal_on_a_development_host_says_what_to_write(
    host: BlockingHost, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader = host.deploy(BUILT / "file-reader.wasm", name=NAME, mounts={"/in": data})
    for _ in range(2):
        with pytest.raises(GuestError):
            reader.call("open-file", "/in/a")
    with pytest.raises(GuestError):
        reader.call("open-file", "/in/secret/key")
    host.close()
    told = [each.getMessage() for each in caplog.records if "may not" in each.getMessage()]
    assert told == [
        (
            f"{NAME} may not filesystem read {data}/a; to ask for it, write in Component.toml: "
            'filesystem = [{ path = "/in/a", access = ["read"] }]'
        )
    ]


def test_every_kind_that_can_be_asked_for_has_its_text() -> None:
    uses = [
        Use("http", "GET", "https://api.example.com:443/v1/x"),
        Use("http", "POST", "https://api.example.com:443/v1/x"),
        Use("http", "GET", "http://localhost:8080/"),
        Use("network", "connect", "db.internal:5432"),
        Use("storage", "read", "self/users/1"),
        Use("storage", "write", "self/users/2"),
        Use("messaging", "ask", "image/resizer"),
        Use("messaging", "publish", "images.done"),
        Use("process", "spawn", "/usr/bin/convert"),
        Use("environment", "read", "TZ"),
        Use("secret", "use", "https://api.example.com:443/authorization/key"),
        Use("custom", "use", "crm.read/7"),
        Use("clock", "read", "wall"),
    ]
    text = capability_text(asking_for(uses))
    capabilities = parse_component_manifest(f"schema = 1\n{MANIFEST}\n{text}").capabilities
    assert capabilities == asking_for(uses)
    assert 'methods = ["GET", "POST"]' in text
    assert 'messaging = [{ ask = "image/resizer" }, { publish = "images.done" }]' in text
    assert "clock" not in text
    assert capability_text(asking_for([])) == "[capabilities]\n"
    json.dumps(text)


def test_a_path_of_the_host_is_told_as_the_component_sees_it() -> None:
    mounts = {"/a": Mount("/srv"), "/deep": Mount("/srv/in/deep")}
    assert path_in_component("/srv/x", mounts) == "/a/x"
    assert path_in_component("/srv/in/deep/y", mounts) == "/deep/y"
    assert path_in_component("/srv", mounts) == "/a"
    assert path_in_component("/srvx", mounts) is None


def test_what_a_new_rule_refuses_is_not_suggested_though_it_was_used_before(
    tmp_path: Path, data: Path
) -> None:
    policy = tmp_path / "policy.toml"
    reading = f'[[rule]]\nto = ["acme/*"]\naccess = ["read"]\ntarget = ["{data}/**"]\n'
    denying = f'[[rule]]\neffect = "deny"\nto = ["*"]\naccess = ["read"]\ntarget = ["{data}/a"]\n'
    policy.write_text(reading)
    with Host.open_blocking(tmp_path / "state", policy=policy, development=True) as host:
        reader = host.deploy(
            BUILT / "file-reader.wasm", name=NAME, mounts={"/in": data}, enforcement="learn"
        )
        reader.call("open-file", "/in/a")
        reader.call("open-file", "/in/b[1]")
        assert '"/in/a"' in reader.suggest()
        policy.write_text(reading + denying)
        host.osl.reload()
        with pytest.raises(GuestError):
            reader.call("open-file", "/in/a")
        assert '"/in/a"' not in reader.suggest()
        assert "/in/b" in reader.suggest()


def test_what_others_of_the_name_used_or_was_used_before_learning_is_not_suggested(
    host: BlockingHost, data: Path
) -> None:
    asked = {"filesystem": [{"path": "/in/**", "access": ["read"]}]}
    guest, mounts = BUILT / "file-reader.wasm", {"/in": data}
    earlier = host.deploy(guest, name=NAME, mounts=mounts, enforcement="learn")
    earlier.call("open-file", "/in/b[1]")
    earlier.remove()

    reader = host.deploy(guest, name=NAME, mounts=mounts, capabilities=asked, grant="requested")
    reader.call("open-file", "/in/b[1]")
    reader.deploy(guest, enforcement="learn")
    assert reader.suggest() == "[capabilities]\n"
    reader.call("open-file", "/in/a")
    assert reader.suggest().splitlines() == [
        "[capabilities]",
        'filesystem = [{ path = "/in/a", access = ["read"] }]',
    ]
