"""The log on a disk that hangs or fails, and under a wall clock that is set."""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path

import pytest
from osl_supervised import Clock, Supervised

from airssys.osl import read_records, verify_log

PROGRAM = Path(__file__).with_name("decide_on_command.py")
GROUP = 64


@pytest.fixture
def supervised(tmp_path):
    opened = []

    def start(calls):
        opened.append(Supervised(calls, PROGRAM, tmp_path / "log", GROUP))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def hear(program):
    return json.loads(program.hear())


def hear_after(program, line):
    program.say(line)
    return hear(program)


def count(tmp_path):
    return sum(1 for _ in read_records(tmp_path / "log"))


def test_a_disk_that_hangs_does_not_hold_up_an_ordinary_access(supervised, tmp_path):
    program = supervised("fdatasync")
    hangs = program.asked()
    program.say("decide 30")
    answer = hear(program)
    # All are in the log, none is durable, and the disk has not moved meanwhile.
    assert answer["allowed"]
    assert answer["durable"] == 0
    assert count(tmp_path) == answer["sequence"] >= 30
    hangs.go_on()


def test_an_access_that_must_be_audited_waits_for_a_disk_that_hangs(supervised):
    program = supervised("fdatasync")
    before = program.asked()
    program.say("must")
    # This sync began before the access; only the one after it can have its record.
    before.go_on()
    after = program.asked()
    assert program.hear(timeout=0) is None
    after.go_on()
    answer = hear(program)
    assert answer["allowed"]
    assert answer["durable"] >= answer["sequence"]


def test_no_more_than_a_group_runs_ahead_of_a_slow_disk(supervised, tmp_path):
    program = supervised("fdatasync")
    seen = 0
    program.say("decide 500")
    syncs = 0
    while program.asks_or_speaks():
        asked = program.asked()
        now = count(tmp_path)
        # What was there at the sync before is durable; a group may be ahead of that.
        assert now <= seen + GROUP + 1
        seen = now
        syncs += 1
        asked.go_on()
    assert hear(program)["sequence"] >= 500
    assert syncs >= 500 // GROUP


def test_a_disk_that_fails_ends_what_cannot_be_recorded(supervised, tmp_path):
    program = supervised("fdatasync")
    with program.answering(lambda asked: asked.fail(errno.EIO)):
        program.say("must")
        refused = hear(program)
        assert not refused["allowed"]
        assert refused["rule"] == "audit-unavailable"
        # Later ones are refused too: after a failed sync nothing can be trusted to be written.
        program.say("decide 1")
        later = hear(program)
    assert not later["allowed"]
    assert later["rule"] == "audit-unavailable"
    assert "could not be made durable" in later["reason"]


def notes(tmp_path):
    return [
        (record.operation, record.detail)
        for record in read_records(tmp_path / "log")
        if record.operation == "audit.clock-step"
    ]


def test_a_step_of_the_wall_clock_is_on_record_and_changes_no_order(supervised, tmp_path):
    program, clock = supervised("clock_gettime"), Clock()
    with program.answering(clock):
        for clock.offset in (0, -86400, 86400):
            program.say("decide 2")
            assert hear(program)["allowed"]
        program.process.stdin.close()
        assert program.process.wait(20) == 0
    assert [detail.split(" clock ")[1] for _, detail in notes(tmp_path)] == [
        "went back 86400 s",
        "went forward 172800 s",
    ]
    times = [record.time for record in read_records(tmp_path / "log")]
    assert times != sorted(times)
    numbers = [record.sequence for record in read_records(tmp_path / "log")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert verify_log(tmp_path / "log")["records"] == len(numbers)


def test_setting_the_clock_back_does_not_lengthen_a_right(supervised):
    program, clock = supervised("clock_gettime"), Clock()
    with program.answering(clock):
        assert hear_after(program, "decide 1")["allowed"]  # it has started
        assert hear_after(program, f"expires {time.time() + 1}")["allowed"]
        clock.offset = -86400
        # By the wall clock there is a day left; by the time that passes, a second.
        deadline = time.monotonic() + 20
        while (answer := hear_after(program, "decide 1"))["allowed"]:
            assert time.monotonic() < deadline
    assert answer["rule"] == "default-deny"


def test_setting_the_clock_forward_ends_a_right(supervised):
    program, clock = supervised("clock_gettime"), Clock()
    with program.answering(clock):
        assert hear_after(program, f"expires {time.time() + 3600}")["allowed"]
        clock.offset = 7200
        assert not hear_after(program, "decide 1")["allowed"]
