"""`airssys audit` by real processes, on the log of a state directory."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

from airssys import osl
from airssys.osl import OSL, AccessDenied, Policy, Principal, Rule


@pytest.fixture
def system(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").write_text("a")
    rule = Rule(to=("alice",), access=("read",), target=(f"{data}/**",))
    with OSL(policy=Policy(rules=(rule,)), audit=tmp_path / "state" / "audit") as system:
        system.data = data
        yield system


def read(system, who, name="a"):
    async def attempt():
        with system.acting_as(Principal(who)):
            return await osl.read_file(system.data / name)

    return asyncio.run(attempt())


@pytest.fixture
def used(system):
    read(system, "alice")
    with pytest.raises(AccessDenied):
        read(system, "bob")
    return system


def test_options_choose_records_without_a_subcommand(used, airssys, tmp_path):
    def records(*options):
        done = airssys("audit", "--state", tmp_path / "state", "--json", *options)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    assert [each["principal"] for each in records("--operation", "filesystem")] == ["alice", "bob"]
    (denied,) = records("--denied")
    assert (denied["principal"], denied["decision"]) == ("bob", "deny")
    assert [each["decision"] for each in records("--principal", "alice")] == ["allow"]
    assert records("--target", "nothing of the kind") == []
    assert len(records("--target", "/data/", "--since", "1h", "--last", "1")) == 1
    assert records("--denied", "--until", "2020-01-01T00:00:00Z") == []


def test_verify_finds_the_log_of_the_host(used, airssys, tmp_path):
    used.close()
    done = airssys("audit", "verify", "--json", AIRSSYS_STATE=str(tmp_path / "state"))
    assert json.loads(done.stdout)["ok"] is True


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--denied", "--decision", "allow"], "exclude each other"),
        (["--log", "x", "--state", "y"], "name two logs"),
        (["--denied", "verify"], "write the options after `verify`"),
        (["--since", "never"], "is no moment"),
    ],
)
def test_what_cannot_be_meant_is_refused(airssys, options, says):
    done = airssys("audit", *options)
    assert done.returncode == 2
    assert says in done.stderr.decode()


def test_without_a_log_that_is_said(airssys):
    done = airssys("audit", "--state", "nowhere")
    assert done.returncode == 3
    assert "no audit log in 'nowhere/audit'" in done.stderr.decode()


def test_following_shows_what_another_process_records(used, tmp_path):
    command = [sys.executable, "-c", "from airssys.cli import main; main()", "audit", "--follow"]
    following = subprocess.Popen(
        [*command, "--denied", "--json", "--state", str(tmp_path / "state")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert json.loads(following.stdout.readline())["principal"] == "bob"
        read(used, "alice")
        with pytest.raises(AccessDenied):
            read(used, "carol")
        assert json.loads(following.stdout.readline())["principal"] == "carol"
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 130
    finally:
        following.kill()
        following.communicate()


def test_nothing_that_is_printed_moves_a_cursor_or_is_a_formula(system, airssys, tmp_path):
    for who, name in (("alice", "a\x1b[2J\x9b31m\r\nb"), ("=1+1", "a"), ("@SUM", "a"), ("-2", "a")):
        with pytest.raises((AccessDenied, OSError)):
            read(system, who, name)
    shown = airssys("audit", "--state", tmp_path / "state", "--operation", "filesystem")
    assert shown.returncode == 0, shown.stderr
    assert rb"a\x1b[2J\x9b31m\r\nb" in shown.stdout
    assert all(letter.isprintable() or letter == "\n" for letter in shown.stdout.decode())
    assert len(shown.stdout.splitlines()) == 4
    table = airssys("audit", "export", "-", "--format", "csv", "--state", tmp_path / "state")
    assert table.returncode == 0, table.stderr
    assert not any(f",{formula}," in table.stdout.decode() for formula in ("=1+1", "@SUM", "-2"))
    assert ",'=1+1," in table.stdout.decode()
