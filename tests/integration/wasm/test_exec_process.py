"""Signals, forks, the end of the interpreter and crashes, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GUESTS = ROOT / "build" / "components"
TEXTS = ROOT / "components" / "wat"
SECONDS = 30

PREPARE = f"""
import asyncio, ctypes, faulthandler, os, signal, sys, threading
from airssys.wasm import (
    Engine, ForkedHostError, HostShutDown, InstancePoisoned, LimitExceeded, Limits, Trap)
class Sink:
    def push(self, data): pass
    def pull(self, size): return bytes(size)
def faulty():
    return Engine().load({str(GUESTS / "faults.wasm")!r}).instantiate(
        limits=Limits(call_timeout=3600, cpu_per_call=3600), imports={{"demo:faults/sink": Sink()}})
def calculator():
    return Engine().load({str(GUESTS / "calculator.wasm")!r})
def taken(instance):
    while "another call" not in repr(instance): pass
"""


def start(source: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *options, "-c", PREPARE + textwrap.dedent(source)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end; a process that hangs is killed and fails the test."""
    try:
        output, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        pytest.fail(f"it hung after {output!r}\n{errors}")
    return process.returncode, output, errors


def run(source: str, *options: str) -> tuple[int, str, str]:
    return finish(start(source, *options))


@pytest.mark.parametrize("function", ["spin", "sleep-forever", "sleep-in-slices"])
def test_ctrl_c_ends_a_blocking_call(function) -> None:
    process = start(f"""
        instance = faulty()
        def tell():
            taken(instance)
            print("in the guest", flush=True)
        threading.Thread(target=tell).start()
        try:
            instance[{function!r}]()
        except KeyboardInterrupt:
            print("interrupted")
        try:
            instance["count"]()
        except InstancePoisoned:
            print("poisoned")
        print(faulty()["count"]())
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == "in the guest\n"
    process.send_signal(signal.SIGINT)
    assert finish(process) == (0, "interrupted\npoisoned\n1\n", "")


def test_ctrl_c_ends_an_awaited_call() -> None:
    process = start("""
        instance = faulty()
        def tell():
            taken(instance)
            print("in the guest", flush=True)
        async def main():
            # A signal between the loop's last look and its wait is noticed only where a descriptor
            # wakes the loop, as in any program that handles signals on its loop.
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
            threading.Thread(target=tell).start()
            await instance["spin"].call_async()
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted")
    """)
    assert process.stdout is not None
    assert process.stdout.readline() == "in the guest\n"
    process.send_signal(signal.SIGINT)
    assert finish(process) == (0, "interrupted\n", "")


def test_a_signal_handler_that_raises_nothing_does_not_end_the_call() -> None:
    process = start("""
        seen = []
        def handler(*_):
            seen.append(1)
            if len(seen) == 3:
                raise ZeroDivisionError("the third")
            print("handled", flush=True)
        signal.signal(signal.SIGUSR1, handler)
        instance = faulty()
        def tell():
            taken(instance)
            print("in the guest", flush=True)
        threading.Thread(target=tell).start()
        try:
            instance["spin"]()
        except ZeroDivisionError as error:
            print(error)
    """)
    assert process.stdout is not None
    for expected in ("in the guest\n", "handled\n", "handled\n"):
        assert process.stdout.readline() == expected
        process.send_signal(signal.SIGUSR1)
    assert finish(process) == (0, "the third\n", "")


def test_a_forked_child_is_told_and_the_parent_goes_on() -> None:
    code, output, errors = run("""
        component = calculator()
        instance = component.instantiate()
        add = instance["add"]
        assert add(1, 2) == 3
        async def main():
            await instance["add"].call_async(1, 2)
        child = os.fork()
        if child == 0:
            attempts = [
                lambda: add(1, 2),
                lambda: asyncio.run(main()),
                lambda: component.instantiate(),
                lambda: calculator(),
            ]
            told = 0
            for attempt in attempts:
                try:
                    attempt()
                except ForkedHostError:
                    told += 1
            # An ordinary end: nothing in it may wait for threads that did not come along.
            sys.exit(told)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), add(2, 3))
    """)
    assert (code, output) == (0, "4 5\n"), errors


def test_a_child_forked_before_anything_was_loaded_is_as_good_as_its_parent() -> None:
    code, output, errors = run("""
        async def main():
            return await calculator().instantiate()["add"].call_async(1, 2)
        children = []
        for _ in range(2):
            child = os.fork()
            if child == 0:
                sum = calculator().instantiate()["add"](1, 2) + asyncio.run(main())
                sys.exit(sum)
            children.append(child)
        print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
        print(asyncio.run(main()))
        # From here on a child is told.
        child = os.fork()
        if child == 0:
            try:
                calculator()
            except ForkedHostError:
                sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert (code, output.split()) == (0, ["6", "6", "3", "7"]), errors


@pytest.mark.parametrize("daemon", [True, False])
@pytest.mark.parametrize("function", ["spin", "sleep-forever", "sleep-in-slices"])
def test_the_interpreter_ends_while_a_thread_is_in_a_call(function, daemon) -> None:
    code, output, errors = run(f"""
        instance = faulty()
        def call():
            try:
                instance[{function!r}]()
            except HostShutDown:
                pass
        threading.Thread(target=call, daemon={daemon}).start()
        taken(instance)
        print("ends", flush=True)
    """)
    assert (code, output) == (0, "ends\n"), errors


def test_the_interpreter_ends_while_a_task_is_in_a_call_of_another_threads_loop() -> None:
    code, output, errors = run("""
        instance = faulty()
        async def main():
            try:
                await instance["spin"].call_async()
            except HostShutDown:
                print("told")
        threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
        taken(instance)
        print("ends", flush=True)
    """)
    assert code == 0, errors
    assert output.startswith("ends\n")


def test_eight_guests_that_compute_leave_the_interpreter_to_others() -> None:
    code, output, errors = run("""
        instances = [faulty() for _ in range(8)]
        for instance in instances:
            threading.Thread(target=instance["spin"], daemon=True).start()
        for instance in instances:
            taken(instance)
        add = calculator().instantiate()["add"]
        print(sum(add(number, 1) for number in range(1000)), flush=True)
        for instance in instances:
            taken(instance)  # each still in its guest
        os._exit(0)
    """)
    assert (code, output) == (0, "500500\n"), errors


def test_the_interpreter_ends_with_instances_in_globals_and_cycles() -> None:
    code, output, errors = run("""
        instances = [calculator().instantiate() for _ in range(20)]
        class Cycle: pass
        cycle = Cycle()
        cycle.self, cycle.instance = cycle, faulty()
        waiting = instances[0]["add"].call_async(1, 2)
        print(instances[3]["add"](1, 2))
    """)
    assert (code, output, errors) == (0, "3\n", "")


TRAPS = """
def trap(function, *arguments):
    try:
        faulty()[function](*arguments)
    except (Trap, LimitExceeded) as error:
        print(type(error).__name__)
def overflow():
    try:
        Engine(cache=None).load({deep!r}).instantiate()["down"](2**32 - 1)
    except LimitExceeded as error:
        print(error.limit)
""".format(deep=str(TEXTS / "deep-recursion.wat"))


@pytest.mark.parametrize("thread", ["main", "other"])
def test_a_trap_is_a_trap_after_faulthandler_was_enabled(thread) -> None:
    code, output, errors = run(
        TRAPS
        + textwrap.dedent(f"""
            faulty()["count"]()
            faulthandler.enable()
            def all_of_them():
                trap("trap")
                trap("read-out-of-bounds")
                trap("divide", 1, 0)
                overflow()
                faulthandler.disable()
                faulthandler.enable()
                trap("trap")
                trap("read-out-of-bounds")
            if {thread!r} == "main":
                all_of_them()
            else:
                other = threading.Thread(target=all_of_them)
                other.start()
                other.join()
        """)
    )
    assert (code, output.split()) == (0, ["Trap"] * 3 + ["stack"] + ["Trap"] * 2), errors


def test_a_real_crash_still_ends_the_process_with_a_traceback() -> None:
    code, output, errors = run(
        TRAPS
        + textwrap.dedent("""
            faulty()["count"]()
            faulthandler.enable()
            trap("read-out-of-bounds")
            def really_crash():
                ctypes.string_at(0)
            sys.stdout.flush()
            really_crash()
        """)
    )
    assert (code, output) == (-signal.SIGSEGV, "Trap\n")
    assert "Fatal Python error: Segmentation fault" in errors
    assert "in really_crash" in errors


def test_a_real_crash_without_faulthandler_ends_the_process() -> None:
    code, output, _ = run("""
        print(faulty()["count"](), flush=True)
        ctypes.string_at(0)
    """)
    assert (code, output) == (-signal.SIGSEGV, "1\n")


def test_keyboard_interrupt_of_a_host_function_propagates() -> None:
    code, output, errors = run(f"""
        def back(depth):
            raise KeyboardInterrupt
        component = Engine(cache=None).load({str(TEXTS / "call-back.wat")!r})
        def make():
            return component.instantiate(imports={{"demo:wat/host": {{"back": back}}}})
        instance = make()
        try:
            instance["enter"](1)
        except KeyboardInterrupt:
            print("blocking")
        try:
            instance["enter"](1)
        except InstancePoisoned:
            print("poisoned")
        async def main():
            await make()["enter"].call_async(1)
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("awaited")
    """)
    assert (code, output.split(), errors) == (0, ["blocking", "poisoned", "awaited"], "")
