"""One rule: what it allows, what it does not, both in the log that the command prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from airssys import osl
from airssys.osl import AccessDenied, NoContext, Principal

COMMAND = [sys.executable, "-c", "from airssys.cli import main; main()", "audit"]


def audit_command(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        **options,
    )


def test_one_rule_allows_one_file_and_the_log_shows_both(world, act):
    (world.root / "in").mkdir()
    (world.root / "in/a.txt").write_bytes(b"hello")
    (world.root / "secret").write_bytes(b"no")
    system = world.system(
        """
        [[rule]]
        name = "inbox"
        to = ["alice"]
        access = ["read"]
        target = ["{root}/in/**"]
        """
    )

    async def read():
        assert await osl.read_file(world.root / "in/a.txt") == b"hello"
        with pytest.raises(AccessDenied, match="alice.*may not read") as caught:
            await osl.read_file(world.root / "secret")
        return caught.value

    error = act(system, read)
    assert error.context["rule"] == "default-deny"
    assert world.decisions() == [
        ("filesystem.read", "{root}/in/a.txt", "allow"),
        ("filesystem.read", "{root}/secret", "deny"),
    ]
    allowed, denied = world.records(operation="filesystem.read")
    assert (allowed.rule, denied.sequence) == ("inbox", error.context["sequence"])
    world.close()

    shown = audit_command("search", "--log", str(world.log), "--operation", "filesystem")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert len(lines) == 2
    assert "ALLOW" in lines[0]
    assert "DENY" in lines[1]
    assert lines[1].endswith("[default-deny]")
    as_json = audit_command("search", "--log", str(world.log), "--decision", "deny", "--json")
    assert json.loads(as_json.stdout)["target"] == str(world.root / "secret")
    verified = audit_command("verify", "--log", str(world.log), "--json")
    assert json.loads(verified.stdout)["ok"], verified.stderr


def test_outside_a_context_nothing_runs(world):
    import asyncio

    world.allowing("read", to="*")
    with pytest.raises(NoContext, match="no principal is acting"):
        asyncio.run(osl.read_file(world.root / "a"))
    assert world.decisions() == []


def test_another_principal_is_not_the_one_the_rule_names(world, act):
    (world.root / "a").write_bytes(b"x")
    system = world.allowing("read", to="alice")
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.read_file(world.root / "a"), Principal("bob"))
    assert world.decisions() == [("filesystem.read", "{root}/a", "deny")]


def test_follow_prints_records_as_they_come(world, act):
    (world.root / "a").write_bytes(b"x")
    system = world.allowing("read")
    act(system, lambda: osl.read_file(world.root / "a"))
    system.audit.flush()
    with subprocess.Popen(
        [*COMMAND, "follow", "--log", str(world.log)] + ["--operation", "filesystem"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        try:
            assert "ALLOW" in process.stdout.readline()
            with pytest.raises(AccessDenied):
                act(system, lambda: osl.read_file(world.root / "a"), Principal("bob"))
            assert "DENY" in process.stdout.readline()
        finally:
            process.kill()


def test_export_writes_what_the_log_holds(world, act, tmp_path):
    (world.root / "a").write_bytes(b"x")
    system = world.allowing("read")
    act(system, lambda: osl.read_file(world.root / "a"))
    raw = [record.raw for record in world.records()]
    world.close()
    out = tmp_path / "out.jsonl"
    done = audit_command("export", str(out), "--log", str(world.log), "--json")
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().splitlines()[: len(raw)] == raw
    table = audit_command("export", "-", "--log", str(world.log), "--format", "csv")
    assert table.stdout.splitlines()[0].startswith("sequence,time,principal,operation")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "--log", "/nowhere"], "there is no audit log in '/nowhere'"),
        (["verify", "--log", "/nowhere"], "there is no audit log in '/nowhere'"),
        (["search", "--log", "/tmp", "--since", "noon"], "'noon' is no moment"),
    ],
)
def test_a_wrong_command_says_what_was_expected(arguments, message):
    done = audit_command(*arguments)
    assert done.returncode != 0
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_what_a_name_contains_cannot_forge_or_colour_a_line(world, act):
    name = world.root / "a\n  1 ALLOW\x1b[31m"
    name.write_bytes(b"x")
    system = world.system("")
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.read_file(name))
    world.close()
    shown = audit_command("search", "--log", str(world.log), "--operation", "filesystem")
    assert len(shown.stdout.splitlines()) == 1
    assert "\x1b" not in shown.stdout
