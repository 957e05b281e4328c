"""Services and programs as supervised actors."""

from __future__ import annotations

import asyncio
import os

import psutil
import pytest
from osl_world import ALL, rule

from airssys.osl import AccessDenied, DeleteFile, OslError, Principal, ReadFile, SpawnProcess

rt = pytest.importorskip("airssys.rt")

from airssys.osl.actors import (  # noqa: E402 - needs airssys.rt
    Exited,
    FileService,
    Perform,
    ProcessActor,
)

SHELL = os.path.realpath("/bin/sh")
ALICE = Principal("alice")


def command(script):
    return SpawnProcess(program=SHELL, arguments=("-c", script), stdout="null", stderr="null")


@pytest.fixture
def shell(world):
    return world.system(
        rule(["spawn", "signal", "wait"], kind="process", target=SHELL)
        + rule(ALL)
        + rule(["read", "execute"], target="/usr/bin/**")
    )


class Watcher(rt.Actor):
    """Collects what it is told, and says when there are enough."""

    def __init__(self, seen, enough, count):
        self.seen, self.enough, self.count = seen, enough, count

    @rt.handles(Exited)
    def note(self, message):
        self.seen.append(message)
        if len(self.seen) >= self.count:
            self.enough.set()


def test_a_file_service_answers_for_its_principal_and_survives_refusals(world):
    (world.root / "a").write_bytes(b"x")
    system = world.allowing("read")

    async def ask():
        async with rt.System("files") as actors:
            files = await actors.spawn(FileService, system, ALICE, name="files")
            assert await files.ask(Perform(ReadFile(world.root / "a")), timeout=10) == b"x"
            with pytest.raises(AccessDenied):
                await files.ask(Perform(DeleteFile(world.root / "a")), timeout=10)
            with pytest.raises(FileNotFoundError):
                await files.ask(Perform(ReadFile(world.root / "missing")), timeout=10)
            with pytest.raises(OslError, match="does not run process"):
                await files.ask(Perform(command("exit")), timeout=10)
            assert await files.ask(Perform(ReadFile(world.root / "a")), timeout=10) == b"x"

    asyncio.run(ask())
    assert [record.principal for record in world.records(operation="filesystem")] == ["alice"] * 4


def test_a_program_that_fails_is_restarted_and_each_end_reported(world, shell):
    script = (
        f"cd {world.root}; [ -f third ] && exit 0; [ -f second ] && : > third; : > second; exit 3"
    )

    async def watch():
        seen, enough = [], asyncio.Event()
        async with rt.System("programs") as actors:
            watcher = await actors.spawn(Watcher, seen, enough, 3)
            program = await actors.spawn(
                ProcessActor,
                shell,
                ALICE,
                command(script),
                watcher,
                restart=rt.TRANSIENT,
                name="program",
            )
            async with asyncio.timeout(20):
                await enough.wait()
                await program.ended()
        assert [message.status.code for message in seen] == [3, 3, 0]
        assert len({message.pid for message in seen}) == 3

    asyncio.run(watch())


def test_stopping_the_actor_ends_the_program(world, shell):
    async def stop():
        async with rt.System("programs") as actors:
            await actors.spawn(ProcessActor, shell, ALICE, command("exec /usr/bin/sleep 1000"))
            (pid,) = shell.children
            assert psutil.pid_exists(pid)
        assert not psutil.pid_exists(pid)
        assert shell.children == {}

    asyncio.run(stop())


def test_a_program_that_may_not_run_fails_the_start(world):
    system = world.system("")

    async def start():
        async with rt.System("programs") as actors:
            with pytest.raises(rt.SpawnFailed) as caught:
                await actors.spawn(ProcessActor, system, ALICE, command("exit"))
            assert isinstance(caught.value.__cause__, AccessDenied)

    asyncio.run(start())
