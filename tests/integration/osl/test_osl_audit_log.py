"""The log: nothing attempted is missing from it, and nothing can be taken away unseen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from osl_killed import killed_run
from osl_world import rule

from airssys import osl
from airssys.osl import OSL, AccessDenied, OslError, Principal, read_records, verify_log


@pytest.mark.parametrize("after", [1, 250, 2000])
def test_what_was_attempted_before_a_kill_is_in_the_log(tmp_path, after):
    acknowledged, recorded = killed_run(tmp_path, after)
    assert acknowledged >= after
    # At most the access that was under way may be recorded without having been acknowledged.
    assert acknowledged <= recorded <= acknowledged + 1
    # The log is opened again, goes on, and verifies.
    with OSL(policy=tmp_path / "policy.toml", audit=tmp_path / "audit"):
        pass
    found = verify_log(tmp_path / "audit")
    assert found["records"] >= 1


def test_attempts_equal_records_plus_coalesced_counts(world, act):
    (world.root / "a").write_bytes(b"x")
    system = world.allowing("read")

    async def load():
        for number in range(300):
            await osl.read_file(world.root / "a")
            for _ in range(number % 3):
                with pytest.raises(AccessDenied):
                    await osl.write_file(world.root / "a", b"")

    act(system, load)
    records = [record for record in world.records() if record.operation.startswith("filesystem")]
    assert sum(record.count or 1 for record in records) == 300 + 300


def used_log(world, act):
    (world.root / "a").write_bytes(b"x")
    system = world.allowing("read")

    async def use():
        for _ in range(20):
            await osl.read_file(world.root / "a")

    act(system, use)
    world.close()
    return max(
        (path for path in world.log.rglob("*") if path.is_file()),
        key=lambda path: path.read_bytes().count(b'"op"'),
    )


def test_a_changed_record_is_found(world, act):
    segment = used_log(world, act)
    verify_log(world.log)
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b'"alice"', b'"alicf"', 1))
    with pytest.raises(OslError) as caught:
        verify_log(world.log)
    assert caught.value.code == "audit-corrupt"


def test_a_removed_record_is_found(world, act):
    segment = used_log(world, act)
    lines = segment.read_bytes().split(b"\n")
    del lines[10]
    segment.write_bytes(b"\n".join(lines))
    with pytest.raises(OslError) as caught:
        verify_log(world.log)
    assert caught.value.code == "audit-corrupt"


def test_a_log_behind_its_checkpoint_is_truncated(world, act):
    segment = used_log(world, act)
    lines = segment.read_bytes().split(b"\n")
    segment.write_bytes(b"\n".join(lines[:8]) + b"\n")
    with pytest.raises(OslError) as caught:
        verify_log(world.log)
    assert caught.value.code == "audit-truncated"
    with pytest.raises(OslError) as caught:
        world.allowing("read")
    assert caught.value.code == "audit-truncated"


def test_a_truncated_log_goes_on_once_that_is_acknowledged(world, act):
    kept = []
    (world.root / "a").write_bytes(b"x")
    system = world.allowing("read", on_checkpoint=kept.append)
    act(system, lambda: osl.read_file(world.root / "a"))
    kept.append(system.checkpoint())
    assert kept[0] == kept[1]
    world.close()
    assert len(kept) == 3  # closing signed one too
    # All that is in the directory is brought back to what it was before.
    segment = next(world.log.glob("segment-*"))
    segment.write_bytes(segment.read_bytes().split(b"\n")[0] + b"\n")
    (world.log / "checkpoints.jsonl").unlink()
    verify_log(world.log)
    with pytest.raises(OslError) as caught:
        world.allowing("read", checkpoint=kept[-1])
    assert caught.value.code == "audit-truncated"
    world.allowing("read", checkpoint=kept[-1], acknowledge_truncation=True)
    world.close()
    (record,) = world.records(operation="audit.truncation-acknowledged")
    assert "are missing or changed" in record.detail
    assert verify_log(world.log)["acknowledged"] == [record.sequence]


def test_a_log_has_one_owner(world):
    world.allowing("read")
    with pytest.raises(OslError) as caught:
        world.allowing("read")
    assert caught.value.code == "audit-locked"


def test_a_foreign_key_proves_nothing(world, act, tmp_path):
    used_log(world, act)
    other = tmp_path / "other.key"
    other.write_bytes(bytes(32))
    with pytest.raises(OslError):
        verify_log(world.log, key=other)


def test_a_damaged_key_is_an_error_that_says_so(world):
    world.allowing("read")
    world.close()
    Path(f"{world.log}.key").write_bytes(b"short")
    with pytest.raises(OslError, match="expected 32"):
        world.allowing("read")


def test_the_key_is_for_its_owner_alone(world):
    world.allowing("read")
    assert os.stat(f"{world.log}.key").st_mode & 0o077 == 0


def test_records_have_no_gaps(world, act):
    used_log(world, act)
    numbers = [record.sequence for record in read_records(world.log)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_must_audit_is_durable_before_the_effect(world, act):
    (world.root / "a").write_bytes(b"x")
    system = world.system(rule(["read"], more="must_audit = true"))

    async def read():
        await osl.read_file(world.root / "a")
        return system.audit.durable, system.audit.sequence

    durable, sequence = act(system, read)
    assert durable >= sequence


def test_bob_cannot_flood_the_log_with_one_refusal(world, act):
    system = world.system("")

    async def knock():
        for _ in range(2000):
            with pytest.raises(AccessDenied):
                await osl.read_file("/etc/shadow")

    act(system, knock, Principal("bob"))
    records = [record for record in world.records() if record.principal == "bob"]
    assert sum(record.count or 1 for record in records) == 2000
    assert json.loads(records[0].raw)["decision"] == "deny"


def test_a_torn_last_line_is_put_aside_and_the_log_goes_on(tmp_path):
    acknowledged, recorded = killed_run(tmp_path, 100)
    segment = max((tmp_path / "audit").glob("segment-*"))
    written = len(segment.read_bytes().rstrip(b"\0"))
    with segment.open("r+b") as file:
        file.seek(written)
        file.write(b'{"seq":999999,"time":"20')
    with OSL(policy=tmp_path / "policy.toml", audit=tmp_path / "audit") as system:
        assert system.audit.recovered
    verify_log(tmp_path / "audit")
    records = [record for record in read_records(tmp_path / "audit") if record.decision == "allow"]
    assert 0 < len(records) <= recorded
    assert recorded >= acknowledged


def test_a_full_disk_refuses_what_cannot_be_recorded(tmp_path):
    script = Path(__file__).with_name("fill_the_disk.py")
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", sys.executable, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=50,
    )
    if "unshare" in done.stderr or "permission denied" in done.stderr:
        pytest.skip(f"needs a mount namespace: {done.stderr}")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["rule"] == "audit-unavailable"
    assert 0 < found["allowed"] < 20_000
    # All that was allowed is on record; beside it stands the loading of the rules.
    assert found["sequence"] >= found["allowed"] + 1
