"""Named programs with parsed output, and the blocking twins for scripts."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import subprocess
import threading

import pytest
from osl_world import ALL, rule

from airssys import osl
from airssys.osl import (
    AccessDenied,
    OslError,
    Principal,
    Utility,
    UtilityFailed,
    git_log,
    git_status,
    sync,
)

GIT = os.path.realpath("/usr/bin/git")


@pytest.fixture
def repository(world):
    path = world.root / "repository"

    def git(*arguments):
        subprocess.run(
            ["git", "-C", str(path), "-c", "user.name=Ann Author", "-c", "user.email=a@b.c"]
            + list(arguments),
            check=True,
            capture_output=True,
        )

    path.mkdir()
    git("init", "-q")
    (path / "first").write_text("1")
    git("add", ".")
    git("commit", "-qm", "Begin: with a colon")
    (path / "first").write_text("2")
    (path / "with space\n").write_text("")
    return path


def test_git_says_what_a_repository_is_like(world, act, repository):
    system = world.system(rule(["spawn"], kind="process", target=GIT) + rule(["read", "list"]))

    async def ask():
        status = await osl.perform(git_status(repository=repository))
        assert [(each.state, each.path) for each in status] == [
            (" M", "first"),
            ("??", "with space\n"),
        ]
        (commit,) = await osl.perform(git_log(repository=repository, count=5, revision="HEAD"))
        assert (commit.author, commit.subject) == ("Ann Author", "Begin: with a colon")

    act(system, ask)


def test_a_repository_cannot_have_its_programs_run(world, act, repository):
    marker = world.root / "ran"
    hook = repository / "evil"
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    with open(repository / ".git/config", "a") as config:
        config.write(f"[core]\n\tfsmonitor = {hook}\n\tpager = {hook}\n")
    system = world.system(rule(["spawn"], kind="process", target=GIT) + rule(ALL))
    act(system, lambda: osl.perform(git_status(repository=repository)))
    assert not marker.exists()


def test_values_cannot_become_options():
    with pytest.raises(OslError, match="absolute path"):
        git_status(repository="--exec-path=/tmp")
    with pytest.raises(OslError, match="take for an option"):
        git_log(repository="/x", count=1, revision="--output=/tmp/x")


def test_failure_and_unreadable_output_are_errors_of_their_own(world, act):
    system = world.system(rule(["spawn"], kind="process", target=os.path.realpath("/bin/echo")))

    def parse(output):
        return int(output.stdout)

    number = Utility("number", "/bin/echo", ("{text:text}",), parse)
    assert act(system, lambda: osl.perform(number(text="42"))) == 42
    with pytest.raises(UtilityFailed, match="could not be read"):
        act(system, lambda: osl.perform(number(text="many")))
    picky = Utility("picky", "/bin/echo", (), parse, accepts=(3,))
    with pytest.raises(UtilityFailed, match="ended with 0"):
        act(system, lambda: osl.perform(picky()))


def test_a_utility_needs_the_right_to_its_program(world, act, repository):
    system = world.system(rule(ALL))
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.perform(git_status(repository=repository)))


def test_scripts_block_and_are_decided_alike(world):
    shell = os.path.realpath("/bin/sh")
    system = world.system(
        rule(ALL)
        + rule(["spawn", "wait", "signal"], kind="process", target=shell)
        + rule(
            ["listen", "connect"],
            kind="network",
            target="127.0.0.1:*",
            more='addresses = ["127.0.0.0/8"]',
        )
    )
    with system.acting_as(Principal("alice")):
        sync.write_file(world.root / "a", b"x")
        assert sync.read_file(world.root / "a") == b"x"
        sync.make_directory(world.root / "d")
        assert [entry.name for entry in sync.walk_directory(world.root)] == ["a", "d"]
        assert sync.run(shell, "-c", "echo hi").stdout == b"hi\n"
        process = sync.spawn(shell, "-c", "read line; echo got $line", stdin="pipe")
        process.write(b"it\n")
        assert process.read() == b"got it\n"
        assert process.wait().code == 0
        process = sync.spawn(shell, "-c", "read line", stdin="pipe")
        process.signal(signal.SIGTERM)
        assert process.wait().signal is signal.SIGTERM
        listener = sync.listen("127.0.0.1", 0)
        client = sync.connect("127.0.0.1", listener.port)
        server = listener.accept()
        client.send(b"ping")
        assert server.receive() == b"ping"
        for each in (client, server, listener):
            each.close()
    with system.acting_as(Principal("bob")), pytest.raises(AccessDenied):
        sync.read_file(world.root / "a")


def test_every_awaited_function_has_a_blocking_twin_with_the_same_parameters():
    awaited = {
        name: getattr(osl, name)
        for name in osl.__all__
        if inspect.iscoroutinefunction(getattr(osl, name))
    }
    assert set(awaited) <= set(sync.__all__)
    for name, function in awaited.items():
        twin = inspect.signature(getattr(sync, name))
        assert list(twin.parameters) == list(inspect.signature(function).parameters), name


def test_scripts_wait_for_children_and_list_them(world):
    shell = os.path.realpath("/bin/sh")
    accesses = ["spawn", "wait", "signal"]
    system = world.system(rule(accesses, kind="process", target=shell))
    with system.acting_as(Principal("alice")):
        process = sync.spawn(shell, "-c", "read line; exit 3", stdin="pipe")
        assert [child.pid for child in sync.list_children()] == [process.pid]
        with pytest.raises(TimeoutError):
            sync.wait(process, timeout=0)
        assert process.status is None
        process.close_input()
        assert sync.wait(process).code == process.status.code == 3
        assert sync.list_children() == ()
        process = sync.spawn(shell, "-c", "echo a; echo b; kill $$")
        assert list(process.lines()) == [b"a\n", b"b\n"]
        assert sync.wait(process).signal is signal.SIGTERM
        process = sync.spawn(shell, "-c", "read line", stdin="pipe")
        sync.kill(process)
        assert sync.wait(process).signal is signal.SIGKILL
    with system.acting_as(Principal("bob")):
        assert sync.list_children() == ()


def test_scripts_watch_until_they_close(world):
    system = world.allowing("read", "list", "write", "create")
    with system.acting_as(Principal("alice")):
        with sync.watch(world.root) as changes:
            sync.write_file(world.root / "new", b"x")
            change = next(changes)
            assert (change.kind, change.path) == ("created", str(world.root / "new"))
        # What had come before it was closed is still read; then it ends.
        assert {change.kind for change in changes} <= {"modified", "attributes"}
        watching = sync.watch(world.root)
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(watching))
        reader.start()
        sync.write_file(world.root / "other", b"")
        watching.close()
        reader.join(20)
        assert not reader.is_alive()


def test_a_blocking_call_on_an_event_loop_is_an_error_and_no_deadlock(world):
    system = world.allowing("read")

    async def inside():
        with system.acting_as(Principal("alice")):
            sync.read_file(world.root / "a")

    with pytest.raises(OslError, match="await the function of the same name"):
        asyncio.run(inside())
