"""`airssys deploy` of what asks for more than it was granted: shown, asked for, bound, recorded."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airssys.osl import read_records
from airssys.wasm import Host, InvalidSetting
from airssys.wasm.host_core import HostCore
from airssys.wasm.manifest import embed_manifest, parse_component_manifest
from airssys.wasm.security.security_settings import SecuritySettings
from airssys.wasm.settings import settings_from
from airssys.wasm.trust import SigningKey, TrustStore, sign
from airssys.wasm.trust.signature import embed

if TYPE_CHECKING:
    from collections.abc import Callable

GUEST = Path(__file__).parents[3] / "build" / "components" / "file-reader.wasm"
NAME = "acme/reader"
READS = 'filesystem = [{ path = "/data/**", access = ["read"], reason = "its job" }]'
SENDS = 'http = [{ host = "api.example.com", methods = ["POST"] }]'
SECRET = 'secrets = [{ name = "key", host = "api.example.com" }]'
COMMAND = [sys.executable, "-c", "from airssys.cli import main; main()"]


def packed(*capabilities: str, version: str = "1.0.0") -> bytes:
    text = (
        f'schema = 1\n[component]\nname = "{NAME}"\nversion = "{version}"\n[capabilities]\n'
        + "\n".join(capabilities)
    )
    return embed_manifest(GUEST.read_bytes(), parse_component_manifest(text))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def environment(state: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "AIRSSYS_STATE": str(state),
    }


@pytest.fixture
def deploy(tmp_path: Path, environment: dict[str, str]) -> Callable[..., Any]:
    """Deploy a component by the command line: the exit code, its JSON, and what it said."""

    def run(component: bytes, *options: str, **more: str) -> tuple[int, Any, str]:
        (tmp_path / "reader.wasm").write_bytes(component)
        (tmp_path / "data").mkdir(exist_ok=True)
        done = subprocess.run(
            [
                *COMMAND,
                "deploy",
                str(tmp_path / "reader.wasm"),
                "--name",
                NAME,
                "--json",
                "--mount",
                f"{tmp_path / 'data'}::/data:ro",
                *options,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
            env={**environment, **more},
        )
        said = done.stderr.decode()
        return done.returncode, json.loads(done.stdout) if done.stdout else None, said

    return run


def test_it_is_shown_and_not_deployed_until_it_is_granted(
    deploy: Callable[..., Any], state: Path
) -> None:
    code, said, error = deploy(packed(READS))
    assert code == 1
    assert "would ask for what it is not granted: capabilities.filesystem[0]" in error
    hint = json.loads(error)["error"]["hint"]
    assert "--grant requested grants it, --grant none deploys it without" in hint
    (request,) = said["review"]["requests"]
    assert (request["state"], request["reason"]) == ("not", "its job")
    assert said["review"]["added"] == ["filesystem read /data/**"]
    with Host.open_blocking(state) as host:
        assert host.deployments() == ()

    code, said, error = deploy(packed(READS), "--grant", "requested", "--why", "we want it")
    assert code == 0, error
    code, said, _ = deploy(packed(READS))
    assert (code, said["changed"]) == (0, False)

    code, said, _ = deploy(packed(READS, SENDS, SECRET, version="2.0.0"))
    assert code == 1
    review = said["review"]
    assert review["approved"]["asked"] == ["filesystem read /data/**"]
    assert review["added"] == [
        "http POST https://api.example.com/**",
        "secret use key@https://api.example.com:443/authorization",
    ]
    assert [danger.partition(",")[0] for danger in review["dangers"]] == [
        "it uses a secret",
        "it reads /data/**",
    ]

    code, said, error = deploy(packed(READS, SENDS, version="2.0.0"), "--grant", "none")
    assert code == 0, error
    with Host.open_blocking(state) as host:
        assert len(host.deployment(NAME).grants()) == 1
    kinds = [
        record.operation
        for record in read_records(state / "audit")
        if record.operation.startswith(("rights.", "component."))
    ]
    assert kinds == ["component.admit", "rights.grant", "component.approve", "component.admit"]
    (approved,) = read_records(state / "audit", operation="component.approve")
    assert "we want it" in approved.detail
    assert approved.detail.count("sha256:") == 3


def test_what_a_trusted_key_signed_is_granted_what_the_policy_allows(
    deploy: Callable[..., Any], state: Path, tmp_path: Path
) -> None:
    key = SigningKey.generate()
    signature = sign(packed(READS, SENDS), key, name=NAME, version="1.0.0")
    signed = embed(packed(READS, SENDS), signature)
    with Host.open_blocking(state):
        pass
    TrustStore(state).trust(key.public, ("acme/*",))
    assert deploy(signed)[0] == 1
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\nto = ["acme/*"]\naccess = ["read"]\ntarget = ["/**"]\n')
    assert deploy(packed(READS, SENDS), AIRSSYS_POLICY=str(policy))[0] == 1
    code, _, error = deploy(signed, AIRSSYS_POLICY=str(policy))
    assert code == 0, error


def test_a_person_at_the_terminal_is_asked(
    tmp_path: Path, environment: dict[str, str], state: Path
) -> None:
    (tmp_path / "reader.wasm").write_bytes(packed(READS))
    for answer, code in ((b"n\n", 1), (b"y\n", 0)):
        ours, theirs = pty.openpty()
        asking = subprocess.Popen(
            [*COMMAND, "deploy", str(tmp_path / "reader.wasm"), "--name", NAME],
            stdin=theirs,
            stderr=theirs,
            env=environment,
        )
        os.close(theirs)
        said = b""
        while b"all that it asks for?" not in said:
            said += os.read(ours, 4096)
        assert b"+ capabilities.filesystem[0]: read /data/**" in said
        os.write(ours, answer)
        ended = _drained(ours, asking)
        assert (ended != 0) is (code != 0)
    with Host.open_blocking(state) as host:
        assert len(host.deployment(NAME).grants()) == 1


def _drained(ours: int, process: subprocess.Popen[bytes]) -> int:
    """Read a terminal to its end, so that nobody waits to write there."""
    try:
        while os.read(ours, 4096):
            pass
    except OSError:
        pass  # what a terminal says when nobody has it open any more
    finally:
        os.close(ours)
    return process.wait(60)


def test_an_approval_is_for_what_was_shown_alone(state: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("")
    (tmp_path / "data").mkdir()
    settings = settings_from(mounts={"/data": tmp_path / "data"})
    core = HostCore(state, security=SecuritySettings(policy=policy))
    try:
        review = core.intake.review(packed(READS), name=NAME, settings=settings)
        with pytest.raises(InvalidSetting, match="is not what was approved"):
            core.changes.deploy(
                packed(READS, SENDS),
                name=NAME,
                settings=settings,
                grant=True,
                approved=review.about,
            )
        policy.write_text('[[rule]]\nto = ["*"]\naccess = ["read"]\ntarget = ["/**"]\n')
        core.osl.reload()
        with pytest.raises(InvalidSetting, match="is not what was approved"):
            core.changes.deploy(
                packed(READS), name=NAME, settings=settings, grant=True, approved=review.about
            )
        again = core.intake.review(packed(READS), name=NAME, settings=settings)
        core.changes.deploy(
            packed(READS), name=NAME, settings=settings, grant=True, approved=again.about
        )
        assert core.intake.review(packed(READS), name=NAME, settings=settings).missing == ()
    finally:
        core.close()
