"""Child processes: how they run, how they end, and what holds them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal

import psutil
import pytest
from osl_world import ALL, rule

from airssys import osl
from airssys.osl import (
    AccessDenied,
    Confinement,
    LimitExceeded,
    OperationTimeout,
    ProcessLimits,
    RunProcess,
)

PYTHON = os.path.realpath("/usr/bin/python3")
SHELL = os.path.realpath("/bin/sh")


def spawning(*programs, more=""):
    listed = "".join(
        rule(["spawn", "signal", "wait"], kind="process", target=os.path.realpath(program))
        for program in programs
    )
    return listed + more


def ended(pid):
    """Whether a process is no more, but for an entry that its adopter has yet to collect."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def shell(world):
    """A pipeline that may run the shell, and what a script needs."""
    tools = "".join(rule(["execute"], target=f"{path}/**") for path in ("/usr/bin", "/bin"))
    return world.system(spawning(SHELL, more=tools + rule(ALL)))


def run_shell(script, **options):
    return osl.run(SHELL, "-c", script, **options)


def test_output_exit_code_and_input(world, act, shell):
    async def run():
        done = await run_shell("cat; echo error >&2; exit 3", stdin=b"in\0put\xff")
        assert (done.stdout, done.stderr, done.exit_code) == (b"in\0put\xff", b"error\n", 3)
        nothing = await run_shell("exit 0")
        assert (nothing.stdout, nothing.stderr, nothing.exit_code) == (b"", b"", 0)
        killed = await run_shell("kill -SEGV $$")
        assert killed.status.signal is signal.SIGSEGV
        result = await shell.run(RunProcess(program=SHELL, arguments=("-c", "exit 7")))
        assert result.exit_code == 7

    act(shell, run)
    assert ("process.spawn", SHELL, "allow") in world.decisions()


def test_the_environment_is_what_it_was_given(act, shell, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "leak")
    done = act(shell, lambda: run_shell("/usr/bin/env", environment={"GIVEN": "1"}))
    names = {line.partition(b"=")[0] for line in done.stdout.splitlines()}
    assert b"GIVEN" in names
    assert b"SECRET_TOKEN" not in names
    assert names <= {b"GIVEN", b"PATH", b"LANG", b"PWD", b"SHLVL", b"_", b"OLDPWD"}


def test_the_working_directory_is_the_one_asked_for(world, act, shell):
    assert act(shell, lambda: run_shell("pwd -P")).stdout == b"/\n"
    done = act(shell, lambda: run_shell("pwd -P", directory=world.root))
    assert done.stdout.decode().strip() == str(world.root)
    with pytest.raises(AccessDenied):
        act(shell, lambda: run_shell("pwd", directory="/etc"))


def test_descriptors_are_not_inherited(act, shell):
    leaked = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        done = act(shell, lambda: run_shell(f"if true <&{leaked}; then echo open; fi; exit 0"))
    finally:
        os.close(leaked)
    assert b"open" not in done.stdout


def test_endless_output_is_cut_off_and_the_program_killed(act, shell):
    with pytest.raises(LimitExceeded, match="more than its 100000 bytes"):
        act(shell, lambda: run_shell("while :; do echo yyyyyyyyyyyyy; done", output_limit=100_000))
    assert shell.children == {}


def test_a_program_that_ignores_term_is_killed(act, shell):
    with pytest.raises(OperationTimeout):
        act(
            shell,
            lambda: run_shell(
                "trap '' TERM; while :; do read x < /dev/null; done", timeout=0.3, grace=0.2
            ),
        )
    assert shell.children == {}


def test_what_a_program_leaves_behind_ends_with_it(act, shell):
    done = act(shell, lambda: run_shell("/usr/bin/sleep 1000 & echo $!"))
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(done.stdout)).wait(20)  # told to end, which takes its turn
    assert ended(int(done.stdout))


def test_a_process_that_left_the_group_is_not_waited_for_and_said_to_be_there(world, act, shell):
    there = world.root / "there"
    away = f"/usr/bin/setsid /usr/bin/sh -c ': > {there}; echo $$; exec /usr/bin/sleep 1000' &"
    done = act(shell, lambda: run_shell(f"{away} until [ -f {there} ]; do :; done"))
    assert not done.complete
    left = psutil.Process(int(done.stdout))
    try:
        assert left.name() == "sleep"
    finally:
        left.kill()


def test_a_program_that_closes_its_streams_early_is_waited_for(act, shell):
    done = act(shell, lambda: run_shell("exec <&- >&- 2>&-; exit 4", stdin=b"x" * 1_000_000))
    assert done.exit_code == 4


def test_cancelling_kills_the_program(act, shell):
    async def run():
        task = asyncio.create_task(run_shell("exec /usr/bin/sleep 1000"))
        while not shell.children:
            await asyncio.sleep(0.001)
        pid = next(iter(shell.children))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not psutil.pid_exists(pid)
        assert shell.children == {}

    act(shell, run)


def test_cancelling_at_any_moment_of_the_start_leaves_nothing(act, shell):
    async def run():
        for steps in range(40):
            task = asyncio.create_task(osl.spawn(SHELL, "-c", "exec /usr/bin/sleep 1000"))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            try:
                process = await task
            except asyncio.CancelledError:
                continue
            await process.kill()
            await process.ended()
            process.release()
        assert shell.children == {}

    act(shell, run)
    assert not [each for each in psutil.Process().children() if each.name() in {"sleep", "sh"}]


def test_a_live_process_is_talked_to_and_waited_for(act, shell):
    async def talk():
        process = await osl.spawn(
            SHELL, "-c", "while read l; do echo got $l; done; exit 5", stdin="pipe"
        )
        await process.write(b"one\n")
        assert await process.read() == b"got one\n"
        await process.write(b"two\n")
        assert await process.read() == b"got two\n"
        assert [child.pid for child in await osl.list_children()] == [process.pid]
        process.close_input()
        assert (await process.wait()).code == 5
        assert await process.read() == b""
        assert await osl.list_children() == ()
        with pytest.raises(OSError):
            await process.write(b"late\n")
        process.release()

    act(shell, talk)


def test_signals_reach_the_process_and_its_tree(act, shell):
    async def send():
        script = "/usr/bin/sleep 1000 & echo $!; wait"
        process = await osl.spawn(SHELL, "-c", script)
        child = int(await process.read())
        await process.signal(signal.SIGTERM)
        assert (await process.wait()).signal is signal.SIGTERM
        async with asyncio.timeout(10):
            while not ended(child):
                await asyncio.sleep(0.001)
        process = await osl.spawn("/bin/sh", "-c", "exec /usr/bin/sleep 1000")
        await osl.kill(process)
        assert (await osl.wait(process)).signal is signal.SIGKILL
        process.release()

    act(shell, send)


def test_signalling_another_program_by_its_id_needs_the_right_to(world, act):
    import subprocess

    with subprocess.Popen(["/usr/bin/sleep", "1000"]) as stranger:
        try:
            sleep = os.path.realpath("/usr/bin/sleep")
            system = world.system("")
            with pytest.raises(AccessDenied):
                act(system, lambda: osl.kill(stranger.pid))
            assert stranger.poll() is None
            assert ("process.signal", sleep, "deny") in world.decisions()
            world.close()
            system = world.system(rule(["signal"], kind="process", target=sleep))
            act(system, lambda: osl.send_signal(stranger.pid, signal.SIGTERM))
            assert stranger.wait(10) == -signal.SIGTERM
        finally:
            stranger.kill()


def test_waiting_has_a_timeout_that_leaves_the_process_alone(act, shell):
    async def wait():
        process = await osl.spawn(SHELL, "-c", "exec /usr/bin/sleep 1000")
        with pytest.raises(TimeoutError):
            await osl.wait(process, timeout=0.01)
        assert process.status is None
        await process.kill()
        await process.ended()
        process.release()

    act(shell, wait)


def test_closing_the_pipeline_ends_its_children(world, act, shell):
    async def leave():
        process = await osl.spawn(SHELL, "-c", "exec /usr/bin/sleep 1000")
        world.close()
        assert process.status.signal is signal.SIGKILL
        assert ended(process.pid)

    act(shell, leave)


def test_limits_are_in_force(act, shell):
    limits = ProcessLimits(files=16, file_size=4096, cpu=1)
    done = act(shell, lambda: run_shell("ulimit -n; ulimit -t; ulimit -c", limits=limits))
    assert done.stdout.split() == [b"16", b"1", b"0"]
    busy = act(shell, lambda: run_shell("while :; do :; done", limits=limits, timeout=30))
    assert busy.status.signal in {signal.SIGXCPU, signal.SIGKILL}


def test_no_new_privileges_a_session_of_its_own_and_a_record_of_it(world, act, shell):
    done = act(shell, lambda: run_shell("echo $$; cat /proc/self/status; ps 2>/dev/null; exit 0"))
    pid = int(done.stdout.split()[0])
    assert done.confinement["no_new_privileges"]
    assert done.confinement["landlock"].startswith("abi")
    outcome = next(
        record
        for record in world.records(decision="outcome")
        if record.operation.startswith("process")
    )
    assert f'"pid": {pid}' in outcome.detail
    assert "landlock" in outcome.detail


# -- ways in


def test_a_relative_name_is_not_looked_for_in_the_environment(world, act, monkeypatch):
    planted = world.root / "git"
    planted.write_text("#!/bin/sh\necho planted\n")
    planted.chmod(0o755)
    monkeypatch.setenv("PATH", str(world.root))
    monkeypatch.chdir(world.root)
    system = world.system(
        rule(["spawn"], kind="process", target="/**")
        + rule(["spawn"], kind="process", target="{root}/**")
    )
    for name in ("./git", "../world/git"):
        record = world.refused(act, system, lambda name=name: osl.run(name))
        assert (record.target, record.rule) == (name, "invalid-program")
    done = act(system, lambda: osl.run("git", "--version"))
    assert done.stdout.startswith(b"git version")
    with pytest.raises(FileNotFoundError):
        act(system, lambda: osl.run("no-such-program"))


def test_a_script_needs_the_right_to_its_interpreter(world, act):
    script = world.root / "tool"
    script.write_text(f"#!{SHELL}\necho ran $1\n")
    script.chmod(0o755)
    system = world.system(spawning(str(script)))
    record = world.refused(act, system, lambda: osl.run(str(script), "x"))
    assert (record.operation, record.target) == ("process.spawn", SHELL)
    world.close()
    system = world.system(spawning(str(script), SHELL))
    assert act(system, lambda: osl.run(str(script), "x")).stdout == b"ran x\n"


def test_an_executable_swapped_after_the_check_does_not_run(world, act):
    """The race is run for real: whatever is executed is what the decision was about."""
    import shutil
    import threading

    good, evil = os.path.realpath("/bin/true"), os.path.realpath("/bin/echo")
    shutil.copy(good, world.root / "good")
    shutil.copy(evil, world.root / "evil")
    (world.root / "tool").symlink_to("good")
    stop = threading.Event()

    def swap():
        rng = random.Random(1)
        while not stop.is_set():
            os.symlink(rng.choice(["evil", "good"]), world.root / "next")
            os.rename(world.root / "next", world.root / "tool")

    system = world.system(rule(["spawn"], kind="process", target="{root}/good"))
    thread = threading.Thread(target=swap)
    thread.start()
    ran = {"good": 0, "refused": 0}

    async def run():
        for _ in range(100_000):  # until both were met
            try:
                done = await osl.run(str(world.root / "tool"), "planted")
            except AccessDenied:
                ran["refused"] += 1
            else:
                assert done.stdout == b""
                ran["good"] += 1
            if min(ran.values()) >= 3:
                break

    try:
        act(system, run)
    finally:
        stop.set()
        thread.join()
    assert min(ran.values()) >= 1, ran
    denied = world.decisions(operation="process.spawn", decision="deny")
    assert set(denied) == {("process.spawn", "{root}/evil", "deny")}
    assert len(denied) == ran["refused"]


def test_arguments_outside_their_patterns_are_refused(world, act):
    git = os.path.realpath("/usr/bin/git")
    policy = rule(["spawn"], kind="process", target=git, more='arguments = ["status", "**"]')
    system = world.system(policy)
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.run("git", "--exec-path=/tmp", "status"))
    with pytest.raises(AccessDenied):
        act(system, lambda: osl.run("git", "clone", "/x"))
    assert [each[2] for each in world.decisions()] == ["deny", "deny"]


def test_what_may_be_written_may_not_be_run(world, act):
    system = world.system(rule(["read", "write", "create", "list", "delete"]) + spawning(SHELL))

    async def write_and_run():
        await osl.write_file(
            world.root / "tool", f"#!{SHELL}\necho ran\n".encode(), mode_bits=0o755
        )
        with pytest.raises(AccessDenied):
            await osl.run(str(world.root / "tool"))
        denied = world.decisions(operation="process", decision="deny")
        assert denied == [("process.spawn", "{root}/tool", "deny")]
        # Nor by a program that may write and run others: the kernel refuses.
        inside = await run_shell(f"{world.root}/tool; echo $?")
        return inside.stdout

    assert act(system, write_and_run).strip() in {b"126", b"127"}


def test_a_child_reaches_no_port_that_it_was_not_given(world, act):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = (
            f"import socket\ns = socket.socket()\n"
            f"try: s.connect(('127.0.0.1', {port})); print('connected')\n"
            f"except PermissionError: print('refused')"
        )
        ports = rule(["use"], kind="custom", target=f"osl/child/connect/{port}")
        system = world.system(spawning(PYTHON, more=ports))
        for confinement, expected in [
            (Confinement(), b"refused\n"),
            (Confinement(connect_ports=(port,)), b"connected\n"),
        ]:
            done = act(
                system,
                lambda c=confinement: osl.run(PYTHON, "-I", "-c", script, confinement=c),
            )
            assert done.stdout == expected, done.stderr
        with pytest.raises(AccessDenied):
            act(
                system,
                lambda: osl.run(
                    PYTHON, "-I", "-c", script, confinement=Confinement(connect_ports=(1,))
                ),
            )


def test_a_granted_directory_replaced_by_a_link_gives_a_child_nothing(world, act):
    cat = os.path.realpath("/bin/cat")
    for name in ("work/in", "outside"):
        (world.root / name).mkdir(parents=True)
    (world.root / "work/in/a").write_bytes(b"mine")
    (world.root / "outside/a").write_bytes(b"secret")
    system = world.system(spawning(cat) + rule(["read", "list"], target="{root}/work/in/**"))
    path = world.root / "work/in/a"
    assert act(system, lambda: osl.run(cat, path)).stdout == b"mine"
    (world.root / "work/in").rename(world.root / "work/old")
    (world.root / "work/in").symlink_to(world.root / "outside")
    done = act(system, lambda: osl.run(cat, path))
    assert (done.stdout, done.exit_code) == (b"", 1)


def test_no_child_is_left_as_a_zombie(act, shell):
    act(shell, lambda: run_shell("exit 0"))
    zombies = [
        child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE
    ]
    assert zombies == []
