"""Bad input to the commands about rights and keys, by real processes on a state directory."""

from __future__ import annotations

import json

import pytest

from airssys.wasm import Host
from airssys.wasm.manifest.component_manifest import Capabilities, FilesystemRequest

NAME = "acme/reader"
FORGED = "sources\ncapabilities.http[0]  GET  https://evil.example/**  granted\u202e"
ASKED = Capabilities(
    filesystem=(FilesystemRequest(path="/data/**", access=("read",), reason=FORGED),)
)


@pytest.fixture
def state(tmp_path, guest):
    data = tmp_path / "data"
    data.mkdir()
    with Host.open_blocking(tmp_path / "state") as host:
        host.deploy(guest("file-reader"), name=NAME, capabilities=ASKED, mounts={"/data": data})
    return tmp_path / "state"


@pytest.fixture
def refused(airssys, state):
    """What a command says that is to be refused."""

    def run(*arguments, code=2):
        done = airssys(*arguments, "--state", state)
        assert done.returncode == code, (done.stdout, done.stderr)
        assert done.stdout == b""
        return done.stderr.decode()

    return run


@pytest.mark.parametrize("until", ["2020-01-01", "2020-01-01T00:00:00Z", "0m"])
def test_a_grant_that_is_over_is_refused(refused, until):
    said = refused("grant", NAME, "filesystem[0]", "--until", until)
    assert f"--until: '{until}' is not ahead" in said


def test_what_says_two_things_is_refused(refused):
    said = refused("grant", NAME, "filesystem[0]", "--requested")
    assert "'filesystem[0]' beside --requested" in said
    assert "1 beside --all" in refused("revoke", NAME, "1", "--all")


def test_revoking_where_nothing_is_granted_says_so(airssys, state):
    done = airssys("revoke", NAME, "--all", "--state", state)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode() == f"nothing to be revoked: {NAME} is granted nothing\n"


def test_what_a_component_says_makes_no_rows_of_a_table(airssys, state):
    shown = airssys("grants", NAME, "--state", state).stdout.decode()
    assert [line.split()[0] for line in shown.splitlines()] == [
        "asks",
        "capabilities.filesystem[0]",
    ]
    assert "sources\\x0acapabilities.http[0]" in shown
    assert "granted\\u202e" in shown


def test_a_public_key_is_told_from_a_private_one(airssys, guest):
    assert airssys("keygen", "key").returncode == 0
    done = airssys(
        *("sign", guest("calculator"), "--key", "key.pub"),
        "--name",
        "acme/calc",
        "--version",
        "1.0.0",
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert "error: key.pub is a public key\nhint: give the private one" in done.stderr.decode()


def test_no_trusted_key_is_no_table(airssys, state):
    done = airssys("trust", "list", "--state", state)
    assert (done.returncode, done.stdout) == (0, b"")
    assert "no key counts for anything" in done.stderr.decode()
    done = airssys("trust", "list", "--state", state, "--json")
    assert json.loads(done.stdout) == {"keys": {}, "blocked": {}}
