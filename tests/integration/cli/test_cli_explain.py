"""`airssys policy explain` of deployments, by real processes on a state directory."""

from __future__ import annotations

import json

import pytest

from airssys.wasm import Host
from airssys.wasm.manifest.component_manifest import (
    Capabilities,
    FilesystemRequest,
    HttpRequest,
)

NAME = "acme/reader"
ASKED = Capabilities(
    filesystem=(FilesystemRequest(path="/data/**", access=("read",)),),
    http=(HttpRequest(host="api.example.com", path="/v1/**"),),
)


@pytest.fixture
def explain(airssys, guest, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").touch()
    with Host.open_blocking(tmp_path / "state") as host:
        reader = host.deploy(
            guest("file-reader"), name=NAME, capabilities=ASKED, mounts={"/data": data}
        )
        reader.grant("filesystem[0]")

    def run(*arguments):
        done = airssys("policy", "explain", *arguments, "--state", tmp_path / "state", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    run.data = data
    return run


def test_what_is_asked_for_and_granted_is_allowed_by_the_grant(explain):
    said = explain(NAME, "filesystem read /data/file")
    assert (said["effect"], said["rule"]) == ("allow", "grant-1")
    assert (said["target"], said["seen"]) == (str(explain.data / "file"), "/data/file")


def test_what_is_asked_for_and_not_granted_says_how_to_grant_it(explain, airssys, tmp_path):
    access = "http GET https://api.example.com/v1/x"
    said = explain(NAME, access)
    assert (said["effect"], said["rule"]) == ("deny", "not-granted")
    assert said["needed"] == f"airssys grant {NAME} 'http[0]'"
    airssys("grant", NAME, "http[0]", "--state", tmp_path / "state")
    assert explain(NAME, access)["effect"] == "allow"


def test_what_is_not_asked_for_says_what_to_write(explain):
    said = explain(NAME, "filesystem write /data/file")
    assert said["rule"] == "default-deny"
    assert 'filesystem = [{ path = "/data/file", access = ["write"] }]' in said["needed"]
    said = explain(NAME, "filesystem read /etc/passwd")
    assert said["rule"] == "no-mount"


def test_what_is_not_asked_for_may_be_written_in_every_way(explain):
    said = explain(NAME, "http PUT https://API.example.org/v%32?key=1")
    assert (said["rule"], said["target"]) == ("default-deny", "https://api.example.org:443/v2")
    request = '{ host = "api.example.org", methods = ["PUT"], path = "/v2" }'
    assert f"http = [{request}]" in said["needed"], said["needed"]
    said = explain(NAME, "http FETCH http://[::1]/")
    assert (said["access"], said["target"]) == ("other", "http://[::1]:80/")
    assert 'methods = ["*"]' in said["needed"]


def test_what_is_given_by_default_has_no_target(explain):
    for kind in ("clock", "random", "log"):
        assert explain(NAME, f"{kind} use")["effect"] == "allow"


def test_a_policy_is_the_ceiling(explain, tmp_path):
    (tmp_path / "policy.toml").write_text(
        '[[rule]]\nto = ["acme/*"]\nkind = "http"\naccess = ["GET"]\ntarget = ["https://*/**"]\n'
    )
    policy = ("--policy", tmp_path / "policy.toml")
    said = explain(NAME, "filesystem read /data/file", *policy)
    assert (said["effect"], said["rule"]) == ("deny", "beyond-policy")
    assert "[[rule]]" in said["needed"]


def test_who_is_no_deployment_needs_a_policy(explain, airssys, tmp_path):
    done = airssys("policy", "explain", "acme/reder", "log write x", "--state", tmp_path / "state")
    assert done.returncode == 3
    assert "acme/reader" in done.stderr.decode()
    done = airssys(
        "policy", "explain", NAME, "log write x", "--role", "x", "--state", tmp_path / "state"
    )
    assert done.returncode == 2
