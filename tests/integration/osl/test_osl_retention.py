"""Old records can be forgotten; what is left proves that nothing else was."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from osl_world import rule

from airssys.osl import (
    OSL,
    OslError,
    Retention,
    plan_pruning,
    prune_log,
    read_records,
    verify_log,
)
from airssys.osl._native import AuditLog

SEGMENT = 65536
KEY = bytes(32)


@pytest.fixture
def log(tmp_path):
    """Return the directory of a closed log of several segments."""
    made = AuditLog(tmp_path / "log", key=KEY, segment_bytes=SEGMENT)
    (tmp_path / "log.key").write_bytes(KEY)
    for number in range(2000):
        made.record(None, "test.event", f"/{number}", "outcome")
    made.checkpoint()
    made.close()
    return tmp_path / "log"


def segments(log):
    return sorted(log.glob("segment-*"))


def size_of(paths):
    """Return a size that keeps these, and the records that prunings add."""
    return sum(path.stat().st_size for path in paths) + 4096


def test_the_oldest_segments_go_and_the_rest_verifies(log):
    before = segments(log)
    assert len(before) > 4
    kept = size_of(before[-2:])
    planned = plan_pruning(log, Retention(size=kept))
    gone = prune_log(log, Retention(size=kept))
    assert gone == planned
    assert gone.first == 1
    assert gone.segments == len(before) - 2
    assert segments(log) == before[-2:]
    found = verify_log(log)
    assert found["pruned_through"] == gone.through
    assert found["first"] == gone.through + 1
    assert found["records"] == found["last"] - gone.through
    (record,) = read_records(log, operation="audit.pruned")
    assert f"records 1 to {gone.through} are removed" in record.detail


def test_a_log_can_be_pruned_again_and_again(log):
    paths = segments(log)
    for left in (4, 2):
        kept = size_of(segments(log)[-left:])
        assert prune_log(log, Retention(size=kept))
        assert verify_log(log)["first"] > 1
    assert segments(log)[0] == paths[-2]
    assert prune_log(log, Retention(size=kept)) is None


def test_age_keeps_what_is_young(log):
    assert prune_log(log, Retention(age=3600)) is None
    everything = prune_log(log, Retention(age=1e-9))
    # The segment that is written to stays, however old its records are.
    assert len(segments(log)) == 1
    assert everything.through < verify_log(log)["last"]


def test_a_beginning_that_nobody_pruned_is_missed(log):
    segments(log)[0].unlink()
    with pytest.raises(OslError, match="no record says that those before were pruned") as caught:
        verify_log(log)
    assert caught.value.code == "audit-truncated"


def test_more_than_was_pruned_is_missed(log):
    kept = size_of(segments(log)[-4:])
    prune_log(log, Retention(size=kept))
    segments(log)[0].unlink()
    with pytest.raises(OslError) as caught:
        verify_log(log)
    assert caught.value.code == "audit-truncated"


def test_a_forged_record_of_pruning_is_found(log):
    last = segments(log)[-1]
    lines = last.read_bytes().split(b"\n")
    forged = json.loads(lines[-2])
    forged |= {"op": "audit.pruned", "through": int(segments(log)[1].stem[-20:]) - 1}
    forged["head"] = json.loads(segments(log)[1].read_bytes().split(b"\n")[0])["prev"]
    lines[-2] = json.dumps(forged, separators=(",", ":")).encode()
    last.write_bytes(b"\n".join(lines))
    segments(log)[0].unlink()
    # The chain has no hash behind its last record; the signed checkpoint has it.
    with pytest.raises(OslError) as caught:
        verify_log(log)
    assert caught.value.code == "audit-truncated"


def test_a_pruning_that_was_killed_halfway_verifies_and_is_finished_by_the_next(log, tmp_path):
    shutil.copytree(log, tmp_path / "copy")
    paths = segments(log)
    kept = size_of(paths[-2:])
    gone = prune_log(log, Retention(size=kept))
    # As if it had been killed before it removed the last two of them.
    for path in paths[-4:-2]:
        shutil.copy(tmp_path / "copy" / path.name, path)
    found = verify_log(log)
    assert found["first"] == int(paths[-4].stem[-20:])
    again = prune_log(log, Retention(size=kept))
    assert again.through == gone.through
    assert verify_log(log)["first"] == gone.through + 1


def test_damage_is_evidence_and_stays(log):
    first = segments(log)[0]
    first.write_bytes(first.read_bytes().replace(b"/7", b"/8", 1))
    with pytest.raises(OslError) as caught:
        prune_log(log, Retention(size=1))
    assert caught.value.code == "audit-corrupt"
    assert first.exists()


def test_a_checkpoint_kept_elsewhere_may_be_older_than_what_is_left(log, tmp_path):
    checkpoint = (log / "checkpoints.jsonl").read_bytes().split(b"\n")[0]
    made = AuditLog(log, key=KEY, segment_bytes=SEGMENT)
    for number in range(2000):
        made.record(None, "test.event", f"/{number}", "outcome")
    made.prune(bytes=SEGMENT)
    made.close()
    made = AuditLog(log, key=KEY, checkpoint=checkpoint, segment_bytes=SEGMENT)
    made.close()
    kept = tmp_path / "checkpoint"
    kept.write_bytes(checkpoint)
    verify_log(log, checkpoint=kept)


def test_a_log_in_use_is_pruned_by_its_owner_alone(world, act):
    system = world.system(rule(["read"]), retention=Retention(age=1e-9))
    with pytest.raises(OslError) as caught:
        prune_log(world.log, Retention(size=1))
    assert caught.value.code == "audit-locked"
    assert system.prune_log() is None


def test_a_pipeline_prunes_when_it_opens(log, tmp_path):
    (tmp_path / "policy.toml").write_text("")
    kept = size_of(segments(log)[-2:])
    with OSL(policy=tmp_path / "policy.toml", audit=log, retention=Retention(size=kept)):
        assert len(segments(log)) < 4
    assert verify_log(log)["pruned_through"] > 0


def test_a_reader_goes_on_past_what_is_pruned(log):
    reading = read_records(log)
    first = next(reading)
    prune_log(log, Retention(age=1e-9))
    rest = list(reading)
    numbers = [first.sequence, *(record.sequence for record in rest)]
    assert numbers == sorted(set(numbers))
    assert rest[-1].operation == "audit.pruned"


@pytest.mark.parametrize(
    "wrong", [{}, {"age": 0}, {"age": -1.0}, {"size": 0}, {"age": float("nan")}]
)
def test_a_retention_of_nothing_is_refused(wrong):
    with pytest.raises(OslError, match="give at least one|expected more than 0"):
        Retention(**wrong)


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-c", "from airssys.cli import main; main()", "audit", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_the_command_says_what_would_go_before_it_does(log):
    before = segments(log)
    shown = command("prune", "--log", str(log), "--keep-size", "100KiB", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "would remove records 1 to" in shown.stdout
    assert segments(log) == before
    done = command("prune", "--log", str(log), "--keep-size", "100KiB", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["first"] == 1
    assert len(segments(log)) < len(before)
    checked = command("verify", "--log", str(log))
    assert "pruned" in checked.stdout
    assert command("prune", "--log", str(log), "--keep-age", "1d").stdout.startswith("nothing")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "say what to keep"),
        (("--keep-size", "lots"), "'lots' is no size"),
        (("--keep-age", "old"), "'old' is no span"),
        (("--keep-size", "0"), "expected more than 0"),
    ],
)
def test_a_wrong_prune_command_says_what_was_expected(log, arguments, message):
    done = command("prune", "--log", str(log), *arguments)
    assert done.returncode != 0
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_pruning_without_the_signing_key_is_refused(log):
    Path(f"{log}.key").unlink()
    with pytest.raises(OslError, match="no signing key"):
        prune_log(log, Retention(size=1))
