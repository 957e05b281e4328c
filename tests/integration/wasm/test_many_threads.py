"""Eight threads at once, each on what it owns, and all of them on what they share."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airssys.wasm import Component, Engine, Instance, InstanceBusy

COMPONENTS = Path(__file__).parents[3] / "build" / "components"
THREADS = 8
CALLS = 2_000

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def echo() -> Component:
    return Engine().load(COMPONENTS / "echo.wasm")


def in_threads(work) -> list:
    """Run `work(number)` in every thread, all starting together; raises what any of them raised."""
    together = threading.Barrier(THREADS)

    def run(number: int):
        together.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return [future.result() for future in [pool.submit(run, n) for n in range(THREADS)]]


def test_each_thread_calls_an_instance_of_its_own(echo: Component) -> None:
    def work(number: int) -> int:
        instance = echo.instantiate()
        add_up = instance["demo:echo/lists#echo-u32s"]
        string = instance["demo:echo/scalars#echo-string"]
        chunks = instance["demo:echo/lists#echo-chunks"]
        right = 0
        for call in range(CALLS):
            text = f"thread {number}, call {call}"
            right += string(text) == text
            right += chunks([text.encode(), b"", bytes(call % 50)]) == [
                text.encode(),
                b"",
                bytes(call % 50),
            ]
            right += add_up([number, call]) == [number, call]
        return right

    assert in_threads(work) == [3 * CALLS] * THREADS


def test_threads_make_and_drop_instances_of_one_component(echo: Component) -> None:
    def work(number: int) -> int:
        right = 0
        for call in range(CALLS // 4):
            with echo.instantiate() as instance:
                data = bytes([number, call % 256]) * 100
                right += instance["demo:echo/lists#echo-bytes"](data) == data
        return right

    assert in_threads(work) == [CALLS // 4] * THREADS


def test_a_shared_instance_serves_one_call_at_a_time_and_says_so(echo: Component) -> None:
    instance = echo.instantiate()
    data = bytes(256 * 1024)

    def work(_number: int) -> tuple[int, int]:
        served = busy = 0
        for _ in range(200):
            try:
                served += len(instance["demo:echo/lists#echo-bytes"](data)) == len(data)
            except InstanceBusy:
                busy += 1
        return served, busy

    outcomes = in_threads(work)
    assert all(served + busy == 200 for served, busy in outcomes)
    assert sum(served for served, _ in outcomes) > 0
    assert instance["demo:echo/scalars#echo-u32"](7) == 7, "the instance is as good as before"


def test_threads_load_the_same_component_at_once(tmp_path: Path) -> None:
    engine = Engine(cache=tmp_path / "cache")
    path = COMPONENTS / "calculator.wasm"

    def work(number: int) -> tuple[str, int]:
        component = engine.load(path)
        return component.digest, component.instantiate()["add"](number, 1)

    outcomes = in_threads(work)
    assert [total for _, total in outcomes] == [number + 1 for number in range(THREADS)]
    assert len({digest for digest, _ in outcomes}) == 1


def test_guests_call_python_functions_from_every_thread() -> None:
    component = Engine().load(COMPONENTS / "host-calls.wasm")
    callers: set[int] = set()

    def next_value(value: int) -> int:
        callers.add(threading.get_ident())
        return value + 1

    def unused(*_arguments: object) -> None:
        raise AssertionError("nobody calls this")

    imports = {
        "demo:host/log": {"log": unused, "log-at": unused},
        "demo:host/store": {"get": unused, "put": unused, "find": unused},
        "demo:host/math": {"next": next_value, "scale": unused, "slow": unused},
    }

    def work(_number: int) -> tuple[int, int]:
        instance: Instance = component.instantiate(imports=imports)
        return threading.get_ident(), instance["count"](CALLS)

    outcomes = in_threads(work)
    assert [count for _, count in outcomes] == [CALLS] * THREADS
    assert callers == {thread for thread, _ in outcomes}, "each in the thread of its caller"
