"""Commands of somebody who reaches a server by its socket, and nothing of its state directory."""

from __future__ import annotations

import contextlib
import json

import pytest
from serving_process import starter

from airssys.cli import main
from airssys.wasm import Host, UnknownDeployment
from airssys.wasm.actors import ActorSettings
from airssys.wasm.trust import SigningKey

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def airssys(shared, tmp_path, monkeypatch, capsysbinary):
    """Run a command in this process, which knows the server by its address alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AIRSSYS_STATE", str(tmp_path / "nothing here"))

    def run(*arguments: object, code: int = 0, server: str | None = shared.address):
        capsysbinary.readouterr()
        named = [] if server is None else ["--server", server]
        with pytest.raises(SystemExit) as ended:
            main([*named, *map(str, arguments), "--json"])
        printed = capsysbinary.readouterr()
        assert ended.value.code == code, printed.err.decode()
        if code:
            assert printed.out == b""
            assert printed.err.count(b"\n") == 1
            return json.loads(printed.err)["error"]
        # A log is a line for each object, everything else one object.
        logs = arguments[0] in {"logs", "audit"} and "verify" not in arguments
        return printed.out.decode() if logs else json.loads(printed.out)

    return run


def test_deployments_are_listed_with_their_history(airssys, guest):
    airssys("deploy", guest("calculator"), "--name", "only/calc", "--why", "first")
    airssys("deploy", guest("calculator-1-1"), "--name", "only/calc")
    assert "only/calc" in [each["deployment"]["name"] for each in airssys("list")]
    found = airssys("history", "only/calc")
    assert [each["why"] for each in found["revisions"]] == ["first", ""]
    assert airssys("rollback", "only/calc")["live"]["number"] == 1
    for command in (["history"], ["logs"], ["kv", "list"], ["rollback"], ["rollout", "status"]):
        error = airssys(*command, "only/none", code=3)
        assert error["code"] == "unknown-deployment"
        assert "'only/none'" in error["message"]


def test_what_is_stored_is_seen_and_changed(airssys, guest):
    airssys("deploy", guest("key-value"), "--name", "only/store", "--grant", "none")
    assert airssys("kv", "set", "only/store", "color", "green") == {"key": "color", "version": 1}
    assert airssys("kv", "get", "only/store", "color")["value"] == "green"
    assert [each["key"] for each in airssys("kv", "list", "only/store")["entries"]] == ["color"]
    assert airssys("kv", "get", "only/store", "colour", code=3)["code"] == "unknown-key"
    assert airssys("kv", "import", "only/store", "no file", code=3)["code"] == "system"


def test_what_guests_log_is_read_from_the_server_and_followed(airssys, shared, guest):
    with Host.connect_blocking(shared.address) as host:
        counter = host.deploy(
            guest("counter-rust"),
            name="only/counter",
            lifetime="actor",
            actor=ActorSettings(codec="json", burst=100),
        )
        # What is followed comes as it is logged: the first line ends the waiting.
        lines = host.log("only/counter", follow=True, level="warning")
        with contextlib.suppress(Exception):
            counter.actor().ask({"divide": 0})
        said = ""
        while "divide by zero" not in said:
            said = next(lines).message
        lines.close()
        with pytest.raises(UnknownDeployment):
            next(host.log("only/none", follow=True))
    kept = airssys("logs", "only/counter", "--level", "warning")
    assert "attempt to divide by zero" in kept
    assert airssys("logs", "only/counter", "--level", "error") == ""
    assert (
        "expected one of" in airssys("logs", "only/counter", "--level", "loud", code=2)["message"]
    )


@pytest.fixture(scope="module")
def roles(tmp_path_factory):
    """A server that is reached by TCP, and a token of each role."""
    directory = tmp_path_factory.mktemp("roles")
    tokens = {role: f"{role}-{'0' * 32}" for role in ("read", "deploy", "approve")}
    file = directory / "tokens"
    file.write_text(
        "".join(f"{token} {role} read,{role}\n" for role, token in tokens.items()).replace(
            "read,read", "read"
        )
    )
    file.chmod(0o600)
    start, stop = starter(directory)
    server = start(directory / "state", "--control", "tcp:127.0.0.1:0", "--token-file", file)
    server.address_of_tcp = server.control[1]
    server.tokens = tokens
    yield server
    stop()


@pytest.fixture
def as_role(airssys, roles, monkeypatch):
    """Run a command against a server, with the token of one role."""

    def run(role: str, *arguments: object, code: int = 0):
        monkeypatch.setenv("AIRSSYS_SERVER", roles.address_of_tcp)
        monkeypatch.setenv("AIRSSYS_TOKEN", roles.tokens[role])
        return airssys(*arguments, code=code, server=None)

    return run


def test_actors_and_deployments_are_shown(airssys, shared, guest):
    with Host.connect_blocking(shared.address) as host:
        room = host.deploy(
            guest("counter-rust"),
            name="only/rooms",
            lifetime="actor",
            actor=ActorSettings(codec="json"),
        )
        assert room.actor("ada").ask({"add": 7}) == 7
    (found,) = (each for each in airssys("actors") if each["deployment"] == "only/rooms")
    assert {each["key"] for each in found["actors"]} >= {"ada"}
    shown = airssys("inspect", "only/rooms#ada")
    assert (shown["name"], shown["lifetime"]) == ("only/rooms", "actor")
    assert [each["key"] for each in shown["actors"]] == ["ada"]
    (live,) = airssys("inspect", "only/rooms#ada", "--live")["live"]
    assert live["key"] == "ada"
    assert airssys("inspect", "only/rooms#eve", code=3)["code"] == "unknown-actor"
    assert airssys("inspect", "only/none", code=3)["code"] == "unknown-deployment"


def test_revisions_are_found(airssys, guest):
    airssys("deploy", guest("calculator"), "--name", "only/found", "--why", "to be found")
    (found,) = airssys("search", "--name", "only/found", "--live")
    assert (found["deployment"], found["revision"]["why"]) == ("only/found", "to be found")
    assert airssys("search", "nothing of the kind") == []


ASKS = {
    "filesystem": [{"path": "/data", "access": ["read"], "reason": "to look"}],
}


def test_rights_are_given_and_taken_by_who_approves_and_nobody_else(as_role, roles, guest):
    with Host.connect_blocking(roles.address) as host:
        host.deploy(guest("calculator"), name="only/rights", capabilities=ASKS, grant="none")
    wanted = ("policy", "explain", "only/rights", "filesystem read /data/x")
    assert as_role("read", *wanted)["effect"] == "deny"
    for role in ("read", "deploy"):
        refused = as_role(role, "grant", "only/rights", "--requested", code=1)
        assert (refused["code"], "'approve'" in refused["message"]) == ("role-needed", True)
    made = as_role("approve", "grant", "only/rights", "filesystem[0]", "--why", "agreed")
    (grant,) = made["granted"]
    assert (grant["why"], grant["who"], made["in_force"]) == ("agreed", "approve", True)
    assert [each["id"] for each in as_role("read", "grants", "only/rights")["grants"]] == [
        grant["id"]
    ]
    assert as_role("deploy", "revoke", "only/rights", "--all", code=1)["code"] == "role-needed"
    taken = as_role("approve", "revoke", "only/rights", grant["id"], "--wait")
    assert (len(taken["revoked"]), taken["replaced"]) == (1, True)
    assert as_role("read", "grants", "only/rights")["grants"] == []
    assert as_role("approve", "revoke", "only/rights", "4711", code=3)["code"] == "unknown-grant"


def test_what_waits_for_a_person_is_answered_by_who_approves(as_role):
    assert as_role("read", "approvals") == []
    for command in ("approve", "deny"):
        assert as_role("deploy", command, "1", code=1)["code"] == "role-needed"
        assert as_role("approve", command, "1", code=3)["code"] == "unknown-approval"


def test_trust_is_kept_by_who_approves(as_role, guest, tmp_path):
    key = SigningKey.generate()
    file = tmp_path / "key.pub"
    file.write_text(f"{key.public}\n")
    changes = (
        ("trust", "add", file, "--name", "only/*", "--comment", "ours"),
        ("trust", "floor", "only/trusted", "1.2.0"),
        ("trust", "block", guest("calculator"), "--why", "not any more"),
        ("trust", "revoke", key.public.id, "--why", "lost"),
    )
    for change in changes:
        for role in ("read", "deploy"):
            assert as_role(role, *change, code=1)["code"] == "role-needed"
        as_role("approve", *change)
    found = as_role("read", "trust", "list")
    assert found["keys"][key.public.id]["comment"] == "ours"
    assert found["keys"][key.public.id]["why"] == "lost"
    assert [each["why"] for each in found["blocked"].values()] == ["not any more"]
    assert as_role("approve", "trust", "revoke", "none", "--why", "-", code=1)["hint"]


def test_the_audit_log_is_read_followed_and_verified(as_role, roles):
    with Host.connect_blocking(roles.address) as host:
        host.freeze(why="for the record")
        lines = host.audit(follow=True, operation="control.thaw")
        host.thaw(why="for the record")
        assert next(lines).decision == "done"
        lines.close()
    found = as_role("read", "audit", "--operation", "control.freeze", "--last", "1")
    assert [json.loads(each)["decision"] for each in found.splitlines()] == ["done"]
    assert len(as_role("read", "audit", "--limit", "2").splitlines()) == 2
    assert as_role("read", "audit", "verify")["ok"]


def test_a_call_on_somebodys_behalf_says_whose(airssys, guest):
    airssys("deploy", guest("calculator"), "--name", "only/keyed")
    assert airssys("call", "only/keyed", "add(2, 3)", "--key", "ada")["value"] == 5


def test_what_needs_the_directory_says_so_and_two_hosts_are_not_one(airssys, tmp_path):
    refused = airssys("audit", "prune", "--keep-age", "1d", code=2)
    assert "works on a state directory" in refused["message"]
    assert "--state DIR" in refused["hint"]
    both = airssys("list", "--state", tmp_path, code=2)
    assert "--server and --state both" in both["message"]
    wrong = airssys("rollout", "weight", "only/calc", "120", code=2)["message"]
    assert "PERCENT" in wrong
    assert "100" in wrong
