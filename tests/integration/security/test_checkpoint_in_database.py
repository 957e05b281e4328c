"""The database holds how far the audit log had come: a log that is gone is not begun anew."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airssys.osl import OSL, AuditTruncated, Policy, read_records, verify_log
from airssys.wasm import Host
from airssys.wasm.host_errors import StateDirectoryInUse
from airssys.wasm.security.checkpoints import CheckpointKeeper, acknowledge, checkpoint_of

if TYPE_CHECKING:
    from collections.abc import Callable

READER = Path(__file__).parents[3] / "build" / "components" / "file-reader.wasm"


def run_host(state: Path) -> None:
    with Host.open_blocking(state) as host:
        host.deploy(READER, name="acme/reader")


def kill_host(state: Path) -> None:
    """Run a host in a process of its own, and kill it while it is open."""
    program = (
        "import sys\n"
        "from airssys.wasm import Host\n"
        "host = Host.open_blocking(sys.argv[1])\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, os.fspath(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        process.send_signal(signal.SIGKILL)


def removed(state: Path) -> None:
    shutil.rmtree(state / "audit")


def removed_with_its_key(state: Path) -> None:
    shutil.rmtree(state / "audit")
    (state / "audit.key").unlink()


def emptied(state: Path) -> None:
    for each in (state / "audit").iterdir():
        each.unlink()


def older(state: Path) -> None:
    """Put the log back as it was after the first run; see `state`."""
    shutil.rmtree(state / "audit")
    shutil.copytree(state.parent / "audit-before", state / "audit")


def cut_off(state: Path) -> None:
    (segment,) = (state / "audit").glob("segment-*")
    lines = segment.read_bytes().split(b"\n")
    segment.write_bytes(lines[0] + b"\n")
    (state / "audit" / "checkpoints.jsonl").unlink()


def of_another(state: Path) -> None:
    """Put a log in its place that is whole and longer, with a key of its own."""
    removed_with_its_key(state)
    with OSL(policy=Policy(), audit=state / "audit") as system:
        for _ in range(200):
            system.audit.record(None, "some.thing", "", "done")


WAYS = [removed, removed_with_its_key, emptied, older, cut_off, of_another]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory that two hosts used one after the other."""
    state = tmp_path / "state"
    run_host(state)
    shutil.copytree(state / "audit", tmp_path / "audit-before")
    run_host(state)
    return state


@pytest.mark.parametrize("tamper", WAYS)
def test_a_log_that_is_not_the_signed_one_keeps_the_host_from_starting(
    state: Path, tamper: Callable[[Path], None]
) -> None:
    tamper(state)
    with pytest.raises(AuditTruncated, match="airssys audit acknowledge --state") as caught:
        Host.open_blocking(state)
    assert str(state) in str(caught.value)
    # It stays so, and the state directory was left for whoever mends it.
    with pytest.raises(AuditTruncated):
        Host.open_blocking(state)


@pytest.mark.parametrize("tamper", WAYS)
def test_once_acknowledged_the_host_goes_on_and_the_log_says_so(
    state: Path, tamper: Callable[[Path], None]
) -> None:
    with pytest.raises(AuditTruncated):
        tamper(state) or Host.open_blocking(state)
    assert acknowledge(state, who="kim", why="a disk was lost") is not None
    with Host.open_blocking(state) as host:
        assert [each.name for each in host.deployments()] == ["acme/reader"]
    (gap,) = read_records(state / "audit", operation="audit.truncation-acknowledged")
    (note,) = read_records(state / "audit", operation="audit.acknowledged")
    assert note.detail == "by kim: a disk was lost"
    assert verify_log(state / "audit")["acknowledged"] == [gap.sequence]
    assert acknowledge(state, who="kim", why="again") is None
    # From here on it is this log that must not go.
    shutil.rmtree(state / "audit")
    with pytest.raises(AuditTruncated):
        Host.open_blocking(state)


def test_a_log_that_is_brought_back_is_the_right_one(state: Path) -> None:
    (state / "audit").rename(state.parent / "elsewhere")
    with pytest.raises(AuditTruncated):
        Host.open_blocking(state)
    shutil.rmtree(state / "audit")
    (state.parent / "elsewhere").rename(state / "audit")
    Host.open_blocking(state).close()
    verify_log(state / "audit")


def test_a_host_that_was_killed_has_left_a_checkpoint(tmp_path: Path) -> None:
    kill_host(tmp_path / "state")
    assert checkpoint_of(tmp_path / "state") is not None
    # Nothing is missing after a kill alone.
    kill_host(tmp_path / "state")
    removed(tmp_path / "state")
    with pytest.raises(AuditTruncated):
        Host.open_blocking(tmp_path / "state")


def test_a_forged_pruning_excuses_nothing(state: Path) -> None:
    """Whoever writes a log anew can write that records were pruned, but not sign it."""
    removed_with_its_key(state)
    with OSL(policy=Policy(), audit=state / "audit") as system:
        system.audit.record(None, "some.thing", "", "done")
    (segment,) = (state / "audit").glob("segment-*")
    first = segment.read_bytes().split(b"\n")[0]
    forged = first.replace(b'"op":"', b'"op":"audit.pruned","through":100000,"was":"', 1)
    assert forged != first
    segment.write_bytes(forged + b"\n")
    (state / "audit" / "checkpoints.jsonl").unlink()
    with pytest.raises(AuditTruncated):
        Host.open_blocking(state)


def test_acknowledging_needs_the_host_to_be_closed(state: Path) -> None:
    with Host.open_blocking(state), pytest.raises(StateDirectoryInUse):
        acknowledge(state, who="kim", why="")


def test_a_log_that_grows_is_signed_from_time_to_time(tmp_path: Path) -> None:
    signed: list[bytes] = []
    again = threading.Event()

    def keep(line: bytes) -> None:
        signed.append(line)
        if len(signed) > 1:
            again.set()

    with OSL(policy=Policy(), audit=tmp_path / "audit", on_checkpoint=keep) as system:
        keeper = CheckpointKeeper(system, interval=0.001)
        assert len(signed) == 1
        system.audit.record(None, "some.thing", "", "done")
        assert again.wait(30)
        keeper.close()
        assert signed[1] != signed[0]
        # One for what was recorded, and no more while nothing is.
        assert len(signed) == 2


def test_a_state_directory_from_before_has_no_checkpoint_to_miss(state: Path) -> None:
    with contextlib.closing(sqlite3.connect(state / "airssys.db")) as database, database:
        database.execute("DELETE FROM audit_checkpoint")
    Host.open_blocking(state).close()
    assert checkpoint_of(state) is not None
