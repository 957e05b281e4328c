"""However a process ends, guests end in order and nothing hangs."""

from __future__ import annotations

import signal

import psutil
import pytest

SINK = """
class Sink:
    def push(self, data): pass
    def pull(self, size): return bytes(size)
provides = {"demo:faults/sink": Sink()}
"""


def finish(process, seconds=20):
    """Wait for the process, which is a failure of its own after `seconds`."""
    output, errors = process.communicate(timeout=seconds)
    return process.returncode, output, errors


def test_a_forked_child_is_told_and_the_parent_goes_on(state, guest, python):
    process = python(
        """
        import os, sys
        from airssys.wasm import ForkedHostError
        from airssys.wasm.host import Host
        with Host.open_blocking(sys.argv[1]) as host:
            calc = host.deploy(sys.argv[2], name="acme/calc")
            assert calc.api.add(1, 2) == 3
            child = os.fork()
            if child == 0:
                attempts = [
                    lambda: calc.call("add", 1, 2),
                    lambda: calc.history(),
                    lambda: host.deploy(sys.argv[2], name="acme/other"),
                    lambda: host.deployments(),
                ]
                told = 0
                for attempt in attempts:
                    try:
                        attempt()
                    except ForkedHostError:
                        told += 1
                host.close()
                os._exit(told)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), calc.api.add(2, 3))
        """,
        state,
        guest("calculator"),
    )
    code, output, errors = finish(process)
    assert (code, output) == (0, "4 5\n"), errors


@pytest.mark.parametrize("function", ["spin", "sleep_forever"])
def test_the_interpreter_ends_while_a_thread_is_in_a_guest(state, guest, python, function):
    process = python(
        SINK
        + """
import sys, threading
from airssys.wasm import Limits
from airssys.wasm.host import Host
host = Host.open_blocking(sys.argv[1], provides=provides)
faults = host.deploy(sys.argv[2], name="acme/faults",
                     limits=Limits(call_timeout=3600, cpu_per_call=3600))
def call():
    try:
        getattr(faults.api, sys.argv[3])()
    except BaseException as error:
        print(type(error).__name__)
threading.Thread(target=call).start()
while not faults.statistics().in_flight:
    pass
print("ends", flush=True)
""",
        state,
        guest("faults"),
        function,
    )
    code, output, errors = finish(process)
    assert (code, output.splitlines()[0]) == (0, "ends"), errors


def test_a_host_whose_loop_was_closed_ends_with_the_interpreter(state, guest, python):
    process = python(
        """
        import asyncio, sys
        from airssys.wasm.host import Host
        host = Host.open(sys.argv[1])
        async def main():
            await host.__aenter__()
            global calc
            calc = await host.deploy(sys.argv[2], name="acme/calc")
            print(await calc.api.add(1, 2))
        asyncio.run(main())
        # Another loop may use it; the deployment belongs to no loop.
        async def again():
            print(await calc.api.add(2, 2))
        asyncio.run(again())
        """,
        state,
        guest("calculator"),
    )
    code, output, errors = finish(process)
    assert (code, output, errors) == (0, "3\n4\n", "")


@pytest.mark.parametrize("form", ["blocking", "awaited"])
def test_ctrl_c_during_a_call_ends_it_and_closes_the_host(state, guest, python, form):
    process = python(
        SINK
        + """
import asyncio, signal, sys, threading
from airssys.wasm import Limits
from airssys.wasm.host import Host
limits = Limits(call_timeout=3600, cpu_per_call=3600)
def tell(faults):
    while not faults.statistics().in_flight:
        pass
    print("in", flush=True)
def blocking():
    with Host.open_blocking(sys.argv[1], provides=provides) as host:
        faults = host.deploy(sys.argv[2], name="acme/faults", limits=limits)
        threading.Thread(target=tell, args=(faults,)).start()
        faults.api.spin()
async def awaited():
    # A signal between the loop's last look and its wait is noticed only where a descriptor wakes
    # the loop, as in any program that handles signals on its loop.
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
    async with Host.open(sys.argv[1], provides=provides) as host:
        faults = await host.deploy(sys.argv[2], name="acme/faults", limits=limits)
        threading.Thread(target=tell, args=(faults,)).start()
        await faults.api.spin()
try:
    blocking() if sys.argv[3] == "blocking" else asyncio.run(awaited())
except KeyboardInterrupt:
    print("interrupted")
Host.open_blocking(sys.argv[1], provides=provides).close()
print("free")
""",
        state,
        guest("faults"),
        form,
    )
    assert process.stdout.readline() == "in\n"
    process.send_signal(signal.SIGINT)
    code, output, errors = finish(process)
    assert (code, output) == (0, "interrupted\nfree\n"), errors


def test_ctrl_c_during_a_compile_leaves_nothing_half_deployed(state, guest, python, tmp_path):
    process = python(
        """
        import sys
        from airssys.wasm.host import Host
        host = Host.open_blocking(sys.argv[1])
        print("opened", flush=True)
        try:
            host.deploy(sys.argv[2], name="acme/greeter")
        except KeyboardInterrupt:
            print("interrupted", len(host.deployments()))
        host.close()
        """,
        state,
        guest("greeter-python"),
        env_cache=tmp_path / "cache",
    )
    assert process.stdout.readline() == "opened\n"
    # Into the compile, which takes seconds in a process of its own.
    while not psutil.Process(process.pid).children():
        pass
    process.send_signal(signal.SIGINT)
    code, output, errors = finish(process)
    assert (code, output) == (0, "interrupted 0\n"), errors
    assert list((state / "blobs" / "sha256").iterdir()) == []
