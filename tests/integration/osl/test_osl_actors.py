"""Services and programs as supervised actors."""

from __future__ import annotations

import asyncio
import os
import signal

import psutil
import pytest
from osl_world import ALL, rule

from airssys.osl import (
    AccessDenied,
    Connect,
    DeleteFile,
    KillProcess,
    ListChildren,
    Listen,
    OslError,
    Principal,
    ReadFile,
    RunProcess,
    SpawnProcess,
    WaitProcess,
)

rt = pytest.importorskip("airssys.rt")

from airssys.osl.actors import (  # noqa: E402 - needs airssys.rt
    Exited,
    FileService,
    NetworkService,
    Perform,
    ProcessActor,
    ProcessService,
)

SHELL = os.path.realpath("/bin/sh")
ALICE = Principal("alice")


def run(script):
    return RunProcess(program=SHELL, arguments=("-c", script))


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


def test_a_process_service_runs_what_its_principal_may(world, shell):
    async def ask():
        async with rt.System("processes") as actors:
            service = await actors.spawn(ProcessService, shell, ALICE)
            done = await service.ask(Perform(run("echo hi; exit 4")), timeout=10)
            assert (done.stdout, done.exit_code) == (b"hi\n", 4)
            sleeping = command("exec /usr/bin/sleep 1000")
            process = await service.ask(Perform(sleeping), timeout=10)
            listed = await service.ask(Perform(ListChildren()), timeout=10)
            assert [child.pid for child in listed] == [process.pid]
            await service.ask(Perform(KillProcess(process)), timeout=10)
            status = await service.ask(Perform(WaitProcess(process)), timeout=10)
            assert status.signal is signal.SIGKILL
            with pytest.raises(AccessDenied):
                await service.ask(Perform(RunProcess(program="/usr/bin/env")), timeout=10)
            with pytest.raises(OslError, match="does not run file.read"):
                await service.ask(Perform(ReadFile(world.root / "a")), timeout=10)
            # Two at once: one that waits holds up no other.
            waiting = run(f"until [ -f {world.root}/go ]; do :; done")
            slow = service.ask(Perform(waiting), timeout=20)
            await service.ask(Perform(run(f": > {world.root}/go")), timeout=10)
            assert (await slow).exit_code == 0

    asyncio.run(ask())
    refused = [record.target for record in world.records(decision="deny")]
    assert refused == [os.path.realpath("/usr/bin/env")]


def test_a_network_service_connects_listens_and_refuses_for_its_principal(world):
    accesses = ["connect", "listen"]
    system = world.system(rule(accesses, kind="network", target="127.0.0.1:*"))

    async def ask():
        async with rt.System("network") as actors:
            service = await actors.spawn(NetworkService, system, ALICE)
            listener = await service.ask(Perform(Listen("127.0.0.1", 0)), timeout=10)
            accepting = asyncio.create_task(listener.accept())
            client = await service.ask(Perform(Connect("127.0.0.1", listener.port)), timeout=10)
            async with listener, client, await accepting as server:
                await client.send(b"ping")
                assert await server.receive() == b"ping"
                with pytest.raises(AccessDenied):
                    await service.ask(Perform(Connect("192.0.2.1", 80)), timeout=10)
                with pytest.raises(OslError, match="does not run process"):
                    await service.ask(Perform(command("exit")), timeout=10)
                # What it opened belongs to who asked, and outlives the service.
                await service.stop()
                await server.send(b"pong")
                assert await client.receive() == b"pong"
                # The right to it does not: it ends with the rule.
                world.policy.write_text("")
                system.reload()
                with pytest.raises(AccessDenied):
                    await client.send(b"more")

    asyncio.run(ask())
    denied = [(record.operation, record.target) for record in world.records(decision="deny")]
    assert ("network.connect", "192.0.2.1:80") in denied


@pytest.mark.parametrize(
    ("restart", "script", "codes"),
    [
        (rt.TEMPORARY, "exit 3", [3]),
        (rt.TRANSIENT, "exit 0", [0]),
        (rt.PERMANENT, "exit 0", [0, 0, 0]),
        (rt.TRANSIENT, "kill -KILL $$", [-9, -9, -9]),
    ],
)
def test_a_program_is_restarted_as_its_policy_says(world, shell, restart, script, codes):
    async def watch():
        seen, enough = [], asyncio.Event()
        async with rt.System("programs") as actors:
            watcher = await actors.spawn(Watcher, seen, enough, len(codes))
            program = await actors.spawn(
                ProcessActor, shell, ALICE, command(script), watcher, restart=restart
            )
            async with asyncio.timeout(20):
                await enough.wait()
                if len(codes) == 1:
                    await program.ended()
            assert [message.status.code for message in seen][: len(codes)] == codes
            assert {message.path for message in seen} == {program.path}
            assert len({message.pid for message in seen}) == len(seen)
        # However many it was restarted as, none is left.
        assert shell.children == {}
        return len(seen)

    ended = asyncio.run(watch())
    assert ended == 1 or len(codes) > 1


def test_a_program_that_keeps_failing_is_given_up(world, shell):
    async def watch():
        seen, enough = [], asyncio.Event()
        async with rt.System("programs") as actors:
            watcher = await actors.spawn(Watcher, seen, enough, 3)
            program = rt.Child(
                "program",
                ProcessActor,
                shell,
                ALICE,
                command("exit 5"),
                watcher,
                restart=rt.PERMANENT,
            )
            top = await actors.start(
                rt.Supervisor("top", burst=2, period=60.0, restart=rt.TEMPORARY, children=[program])
            )
            async with asyncio.timeout(20):
                await enough.wait()
                await top.ended()
            assert not top.alive
        assert [message.status.code for message in seen] == [5, 5, 5]
        assert shell.children == {}

    asyncio.run(watch())


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
