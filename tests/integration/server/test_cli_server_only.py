"""Commands of somebody who reaches a server by its socket, and nothing of its state directory."""

from __future__ import annotations

import contextlib
import json

import pytest

from airssys.cli import main
from airssys.wasm import Host, UnknownDeployment
from airssys.wasm.actors import ActorSettings

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def airssys(shared, tmp_path, monkeypatch, capsysbinary):
    """Run a command in this process, which knows the server by its address alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AIRSSYS_STATE", str(tmp_path / "nothing here"))

    def run(*arguments: object, code: int = 0):
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["--server", shared.address, *map(str, arguments), "--json"])
        printed = capsysbinary.readouterr()
        assert ended.value.code == code, printed.err.decode()
        if code:
            assert printed.out == b""
            assert printed.err.count(b"\n") == 1
            return json.loads(printed.err)["error"]
        # A log is a line for each object, everything else one object.
        logs = arguments[0] == "logs"
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


def test_what_needs_the_directory_says_so_and_two_hosts_are_not_one(airssys, tmp_path):
    refused = airssys("actors", code=2)
    assert "works on a state directory" in refused["message"]
    assert "--state DIR" in refused["hint"]
    both = airssys("list", "--state", tmp_path, code=2)
    assert "--server and --state both" in both["message"]
    wrong = airssys("rollout", "weight", "only/calc", "120", code=2)["message"]
    assert "PERCENT" in wrong
    assert "100" in wrong
