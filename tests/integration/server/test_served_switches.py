"""Locks, the kill switch, collection, search and backups of a host that is served."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from airssys.wasm import DeploymentHeld, DeploymentLocked, Host, InvalidSetting, restore
from airssys.wasm.remote.errors import RoleNeeded

pytestmark = pytest.mark.timeout(120)
NAME = "acme/calc"


@pytest.fixture
def host(served):
    with Host.connect_blocking(served.address) as connected:
        yield connected


@pytest.fixture
def airssys(served, tmp_path):
    """Run a command against the server."""

    def run(*arguments: object):
        done = subprocess.run(
            [sys.executable, "-c", "from airssys.cli import main; main()", *map(str, arguments)],
            capture_output=True,
            cwd=tmp_path,
            timeout=100,
            check=False,
            env={
                **os.environ,
                "AIRSSYS_STATE": str(served.state),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    return run


def audited(host_state, operation):
    from airssys.osl.audit_log import read_records

    return [each for each in read_records(host_state / "audit") if each.operation == operation]


def test_what_is_locked_frozen_or_stopped_is_so_for_everybody_and_on_record(host, served, guest):
    calc = host.deploy(guest("calculator"), name=NAME)
    host.lock(NAME, why="audit", who="ops")
    with pytest.raises(DeploymentLocked, match=r"'acme/calc' is locked by ops.*audit"):
        host.deploy(guest("calculator-1-1"), name=NAME)
    host.unlock(NAME)
    host.freeze(why="the holidays")
    with pytest.raises(DeploymentLocked, match="frozen"):
        calc.remove()
    assert [each.scope for each in host.locks()] == ["*"]
    host.thaw()
    host.kill_all(why="an incident")
    with pytest.raises(DeploymentHeld, match="an incident"):
        calc.call("add", 1, 2)
    host.revive()
    assert calc.call("add", 1, 2) == 3
    kinds = [each.kind for each in host.events(follow=False)]
    assert kinds == [
        *("deployed", "locked", "unlocked", "frozen", "thawed", "held", "killed", "revived"),
    ]
    for operation in ("lock", "unlock", "freeze", "thaw", "kill-all", "revive"):
        (record,) = audited(served.state, f"control.{operation}")
        assert record.decision == "done"


def test_old_revisions_are_collected_and_found(host, guest):
    calc = host.deploy(guest("calculator"), name=NAME, why="the first of all")
    for turn in range(3):
        calc.deploy(guest("calculator-1-1"), why=f"there {turn}")
        calc.deploy(guest("calculator"), why=f"and back {turn}")
    found = host.find_revisions("first ALL")
    assert [(each.deployment, each.revision.number, each.live) for each in found] == [
        (NAME, 1, False)
    ]
    digest = calc.revision.digest
    assert len(host.find_revisions()) == 7
    from airssys.wasm import RevisionQuery

    query = RevisionQuery(digest=digest[:20], name="acme/*", live=True)
    assert [each.revision.number for each in host.find_revisions(query)] == [7]
    with pytest.raises(InvalidSetting, match="no range"):
        host.find_revisions(RevisionQuery(version="newest"))
    assert host.collect(keep=1) > 0
    assert [each.collected for each in calc.history()] == [True] * 6 + [False]


def test_a_backup_comes_whole_from_a_server_that_goes_on(host, served, guest, tmp_path):
    host.deploy(guest("calculator"), name=NAME)
    size = host.backup(tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_size == size
    with pytest.raises(InvalidSetting, match="exists"):
        host.backup(tmp_path / "backup")
    assert host.call(NAME, "add", 1, 2) == 3
    restore(tmp_path / "backup", tmp_path / "again")
    with Host.open_blocking(tmp_path / "again") as again:
        assert again.call(NAME, "add", 1, 2) == 3
    assert len(audited(served.state, "control.backup")) == 1


def test_roles_are_needed(serve, tmp_path, guest):
    tokens = tmp_path / "tokens"
    tokens.write_text(
        f"{'r' * 32} rita read\n{'d' * 32} dora read,deploy\n",
    )
    tokens.chmod(0o600)
    options = ("--control", "tcp:127.0.0.1:0", "--token-file", tokens)
    served = serve(tmp_path / "state", *options)
    address = f"http://127.0.0.1:{served.control[1].rpartition(':')[2]}"
    with Host.connect_blocking(address, token="r" * 32) as host:
        for refused in (host.freeze, host.kill_all, host.collect, lambda: host.lock(NAME)):
            with pytest.raises(RoleNeeded):
                refused()
        assert host.locks() == ()
    with Host.connect_blocking(address, token="d" * 32) as host:
        host.freeze()
        host.thaw()
        for refused in (host.kill_all, host.revive, lambda: host.backup(tmp_path / "stolen")):
            with pytest.raises(RoleNeeded):
                refused()
    assert not (tmp_path / "stolen").exists()


def test_the_commands_do_it_with_a_server_and_without(airssys, served, guest, tmp_path):
    airssys("deploy", guest("calculator"), "--name", NAME, "--why", "the first")
    airssys("lock", NAME, "--why", "audit")
    assert [each["why"] for each in json.loads(airssys("locks", "--json"))] == ["audit"]
    airssys("unlock", NAME)
    airssys("freeze")
    airssys("thaw")
    airssys("kill-all", "--why", "an incident")
    assert "every guest (stopped)" in airssys("locks")
    airssys("revive")
    assert airssys("call", NAME, "add(2, 3)") == "5\n"
    assert json.loads(airssys("collect", "--keep", "1", "--json")) == {"freed": 0}
    (found,) = json.loads(airssys("search", "first", "--json"))
    assert found["deployment"] == NAME
    airssys("backup", served.state, tmp_path / "backup")
    served.end()
    airssys("backup", served.state, tmp_path / "backup-2")
    airssys("restore", tmp_path / "backup", tmp_path / "again")
    airssys("freeze", "--state", tmp_path / "again")
    locks = json.loads(airssys("locks", "--json", "--state", tmp_path / "again"))
    assert [each["scope"] for each in locks] == ["*"]
    airssys("thaw", "--state", tmp_path / "again")
    assert airssys("call", NAME, "add(2, 3)", "--state", tmp_path / "again") == "5\n"
