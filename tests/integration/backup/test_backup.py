"""A backup holds all that a host needs, is whole or refused, and no kill leaves half of one."""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest
from delivery_guests import adder

from airssys.wasm import BackupUnusable, Host, InvalidSetting, StateDirectoryTooNew, restore
from airssys.wasm.backup.archive import write
from airssys.wasm.trust import SigningKey, TrustStore

NAME = "acme/calc"


def filled(host):
    calc = host.deploy(adder(1), name=NAME, why="the first")
    calc.deploy(adder(2))
    calc.rollback(why="back")
    host.storage.namespace(NAME).set("key", b"value")
    host.lock(NAME, why="audit", who="ops")
    return calc


def test_a_restored_host_has_everything_and_serves(host, state, tmp_path):
    calc = filled(host)
    TrustStore(state).trust(SigningKey.generate().public, ["acme/*"])
    info = host.backup(tmp_path / "backup")
    assert calc.call("version") == 1
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    assert {"airssys.db", "trust.json", "audit.key"} <= {each.path for each in info.members}
    assert not list(state.glob("unfinished-backup-*"))
    target = tmp_path / "elsewhere" / "state"
    assert restore(tmp_path / "backup", target) == info
    with Host.open_blocking(target) as again:
        restored = again.deployment(NAME)
        assert restored.call("version") == 1
        assert [each.why for each in restored.history()] == ["the first", ""]
        assert [each.why for each in restored.rollouts()] == ["the first", "", "back"]
        assert again.storage.namespace(NAME).get("key") == b"value"
        assert [each.why for each in again.locks()] == ["audit"]
        again.unlock(NAME)
        assert restored.deploy(adder(3)).call("version") == 3
    assert TrustStore(target).exists
    # The log goes on where the copy ended, by the same key.
    assert (target / "audit.key").read_bytes() == (state / "audit.key").read_bytes()


def test_a_backup_of_a_busy_host_is_one_moment_of_each_part(host, tmp_path):
    filled(host)
    host.unlock(NAME)
    calc, ending, failed = host.deployment(NAME), threading.Event(), []

    def change():
        number = 10
        try:
            while not ending.is_set():
                number += 1
                calc.deploy(adder(number))
                calc.call("add", number, 1)
        except Exception as error:  # noqa: BLE001 - looked at below
            failed.append(error)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for number in range(5):
            host.backup(tmp_path / f"backup-{number}")
    finally:
        ending.set()
        thread.join()
    assert not failed
    for number in range(5):
        restore(tmp_path / f"backup-{number}", tmp_path / f"state-{number}")
        with Host.open_blocking(tmp_path / f"state-{number}") as again:
            assert again.deployment(NAME).held is None


@pytest.fixture
def whole(host, tmp_path):
    filled(host)
    host.backup(tmp_path / "backup")
    return (tmp_path / "backup").read_bytes()


def refused(content, tmp_path, match):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(BackupUnusable, match=match):
        restore(tmp_path / "bad", tmp_path / "target")
    assert not (tmp_path / "target").exists()
    assert not list(tmp_path.glob(".target*"))


def test_a_torn_file_is_refused_wherever_it_ends(whole, tmp_path):
    # Behind the last content there are only zeros, which say nothing.
    last = len(whole.rstrip(b"\0"))
    for end in (0, 1, 511, 512, 1000, 5000, len(whole) // 2, last - 1):
        refused(whole[:end], tmp_path, "no whole backup of AirsSys")


def test_a_changed_byte_is_refused_wherever_it_is(whole, tmp_path):
    step = len(whole.rstrip(b"\0")) // 40
    for place in range(600, len(whole.rstrip(b"\0")), step):
        changed = bytearray(whole)
        changed[place] ^= 1
        try:
            refused(bytes(changed), tmp_path, "no whole backup")
        except pytest.fail.Exception:
            # Padding between two files is nobody's content.
            assert whole[place] == 0
            assert (tmp_path / "target" / "airssys.db").exists()
            (tmp_path / "target").rename(tmp_path / f"padding-{place}")


def archive(*members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def listed(*members, version=1):
    entries = ",".join(
        f'{{"path":"{path}","size":{len(content)},"sha256":"{"0" * 64}"}}'
        for path, content in members
    )
    head = f'{{"format":"airssys-backup","version":{version},"airssys":"1","made":"now"'
    return archive(("backup.json", f'{head},"members":[{entries}]}}'.encode()), *members)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "no whole backup"),
        (b"PK\3\4" + b"x" * 2000, "no whole backup"),
        (archive(("readme", b"hello")), "does not begin with the list"),
        (archive(("backup.json", b"[]")), "its list cannot be read"),
        (listed(("../outside", b"x")), "names a file '../outside'"),
        (listed(("/etc/passwd", b"x")), "names a file '/etc/passwd'"),
        (listed(("a", b"x"), ("a", b"x")), "lists a file twice"),
        (listed(("a", b"x")), "'a' is not what was written: its digest differs"),
        (listed(version=2), "of the form airssys-backup 2"),
        (listed(), "something else where it should end"),
    ],
)
def test_what_is_no_backup_is_refused(content, match, tmp_path):
    refused(content, tmp_path, match)


def test_nothing_that_is_there_is_written_over(host, tmp_path, state):
    filled(host)
    (tmp_path / "backup").write_text("mine")
    with pytest.raises(InvalidSetting, match="exists; a backup is a new file"):
        host.backup(tmp_path / "backup")
    assert (tmp_path / "backup").read_text() == "mine"
    host.backup(tmp_path / "other")
    with pytest.raises(InvalidSetting, match="is not empty"):
        restore(tmp_path / "other", state)
    (tmp_path / "empty").mkdir()
    restore(tmp_path / "other", tmp_path / "empty")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup", "empty", "other", "state"]


def test_a_backup_of_a_newer_version_is_refused(host, tmp_path):
    filled(host)
    host.backup(tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "newer")
    with contextlib.closing(sqlite3.connect(tmp_path / "newer" / "airssys.db")) as database:
        database.execute("PRAGMA user_version = 1000")
    with (tmp_path / "from-newer").open("wb") as file:
        write(tmp_path / "newer", file, airssys="99", made="later")
    with pytest.raises(StateDirectoryTooNew):
        restore(tmp_path / "from-newer", tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("what", ["backup", "restore"])
def test_killed_at_every_step_of_the_disk_nothing_is_half_there(what, tmp_path):
    with Host.open_blocking(tmp_path / "state") as host:
        host.deploy(adder(1), name=NAME)
        host.storage.namespace(NAME).set("key", b"value")
        host.backup(tmp_path / "backup")
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("backup_killed.py"), what, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 8
