"""Each limit ends the call that reaches it, says which it was, and leaves the instance poisoned."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from airssys.wasm import (
    Component,
    Engine,
    Instance,
    InstancePoisoned,
    LimitExceeded,
    Limits,
)

ROOT = Path(__file__).parents[3]
GUESTS = ROOT / "build" / "components"
TEXTS = ROOT / "components" / "wat"

MEMORY = b"""(component
  (core module $m
    (memory 1 4)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))
  (core instance $i (instantiate $m))
  (func (export "grow") (param "pages" u32) (result s32) (canon lift (core func $i "grow"))))"""

# Two memories, two tables of 600 elements each and two core instances.
PAIRS = b"""(component
  (core module $m (memory 1) (table 600 funcref))
  (core instance (instantiate $m))
  (core instance (instantiate $m)))"""


class Sink:
    """The import of the faulty guest; `pull` gives what was asked for."""

    def push(self, data: bytes) -> None:
        """Take it."""

    def pull(self, size: int) -> bytes:
        return bytes(size)


@pytest.fixture(scope="module")
def faults() -> Component:
    return Engine().load(GUESTS / "faults.wasm")


def faulty(faults: Component, **bounds) -> Instance:
    return faults.instantiate(limits=Limits(**bounds), imports={"demo:faults/sink": Sink()})


def text(name: str) -> Component:
    return Engine(cache=None).load(TEXTS / f"{name}.wat")


def assert_says(
    error: LimitExceeded, limit: str, configured: float, component: Component, call: str
) -> None:
    assert (error.limit, error.configured) == (limit, configured)
    assert (error.component, error.call) == (component.digest, call)
    assert f"'{limit}'" in str(error)
    assert f"'{call}'" in str(error)


def assert_poisoned(instance: Instance, call: str, arguments: tuple, limit: str) -> None:
    with pytest.raises(InstancePoisoned, match=f"exceeded its limit '{limit}'") as told:
        instance[call](*arguments)
    assert limit in told.value.reason
    assert limit in repr(instance)


IN_A_CALL = [
    ("memory", {"memory": "4MiB"}, 4 << 20, "memory-bomb", ()),
    ("call_timeout", {"call_timeout": 0.1}, 0.1, "spin", ()),
    ("call_timeout", {"call_timeout": 0.1}, 0.1, "sleep-forever", ()),
    ("call_timeout", {"call_timeout": 0.1}, 0.1, "sleep-in-slices", ()),
    ("cpu_per_call", {"cpu_per_call": 0.05}, 0.05, "spin", ()),
    ("host_call_bytes", {"host_call_bytes": 10_000}, 10_000, "flood", (1, 20_000)),
    ("open_handles", {"open_handles": 5}, 5, "handle-bomb", (6,)),
]


@pytest.mark.parametrize(("limit", "bounds", "configured", "call", "arguments"), IN_A_CALL)
def test_a_blocking_call_that_reaches_a_limit(
    faults, limit, bounds, configured, call, arguments
) -> None:
    instance = faulty(faults, **bounds)
    assert instance["count"]() == 1
    with pytest.raises(LimitExceeded) as caught:
        instance[call](*arguments)
    assert_says(caught.value, limit, configured, faults, call)
    assert_poisoned(instance, "count", (), limit)


@pytest.mark.parametrize(("limit", "bounds", "configured", "call", "arguments"), IN_A_CALL)
def test_an_awaited_call_that_reaches_a_limit(
    faults, limit, bounds, configured, call, arguments
) -> None:
    async def main() -> None:
        instance = faulty(faults, **bounds)
        with pytest.raises(LimitExceeded) as caught:
            await instance[call].call_async(*arguments)
        assert_says(caught.value, limit, configured, faults, call)
        with pytest.raises(InstancePoisoned, match=limit):
            await instance["count"].call_async()

    asyncio.run(main())


def test_one_less_than_the_limit_is_served(faults) -> None:
    instance = faulty(faults, host_call_bytes=20_000, open_handles=8)
    instance["flood"](100, 16_000)
    instance["handle-bomb"](3)
    instance["count"]()
    assert instance["count"]() == 2


@pytest.mark.parametrize("awaited", [False, True])
def test_recursion_without_end_reaches_the_stack_limit(awaited) -> None:
    component = text("deep-recursion")
    instance = component.instantiate()
    assert instance["down"](500) == 500

    async def main() -> None:
        await instance["down"].call_async(2**32 - 1)

    with pytest.raises(LimitExceeded) as caught:
        asyncio.run(main()) if awaited else instance["down"](2**32 - 1)
    assert caught.value.limit == "stack"
    assert caught.value.configured > 0
    assert (caught.value.component, caught.value.call) == (component.digest, "down")
    assert_poisoned(instance, "down", (1,), "stack")


def test_a_table_grows_to_the_limit_and_no_further() -> None:
    component = text("table-bomb")
    instance = component.instantiate(limits=Limits(table_elements=1000))
    assert instance["grow"](999) == 1
    with pytest.raises(LimitExceeded) as caught:
        instance["grow"](1)
    assert_says(caught.value, "table_elements", 1000, component, "grow")
    assert_poisoned(instance, "grow", (0,), "table_elements")


def test_memory_grows_to_the_limit_and_no_further() -> None:
    component = Engine(cache=None).load(MEMORY)
    instance = component.instantiate(limits=Limits(memory=3 * 65536))
    assert instance["grow"](2) == 1
    assert instance.usage()["memory"] == 3 * 65536
    with pytest.raises(LimitExceeded) as caught:
        instance["grow"](1)
    assert_says(caught.value, "memory", 3 * 65536, component, "grow")
    assert_poisoned(instance, "grow", (0,), "memory")


def test_growing_beyond_the_guests_own_maximum_is_an_ordinary_no() -> None:
    instance = Engine(cache=None).load(MEMORY).instantiate(limits=Limits(memory="1MiB"))
    assert instance["grow"](4) == -1
    assert instance["grow"](2**32 - 1) == -1
    assert instance["grow"](3) == 1, "the refusals changed nothing"
    assert instance["grow"](1) == -1


@pytest.mark.parametrize(
    ("limit", "bounds", "configured"),
    [
        ("memory", {"memory": 65536}, 65536),
        ("table_elements", {"table_elements": 1000}, 1000),
        ("core_instances", {"core_instances": 1}, 1),
        ("memories", {"memories": 1}, 1),
        ("tables", {"tables": 1}, 1),
    ],
)
def test_what_does_not_fit_from_the_beginning_is_not_made(limit, bounds, configured) -> None:
    component = Engine(cache=None).load(PAIRS)
    component.instantiate(limits=Limits(memories=2, tables=2, core_instances=2, memory=131072))
    with pytest.raises(LimitExceeded) as caught:
        component.instantiate(limits=Limits(**bounds))
    assert_says(caught.value, limit, configured, component, "instantiate")

    async def main() -> None:
        await component.instantiate_async(limits=Limits(**bounds))

    with pytest.raises(LimitExceeded, match=limit):
        asyncio.run(main())


def test_a_start_function_without_end_reaches_the_timeout() -> None:
    component = text("start-loop")
    with pytest.raises(LimitExceeded) as caught:
        component.instantiate(limits=Limits(call_timeout=0.1))
    assert_says(caught.value, "call_timeout", 0.1, component, "instantiate")


@pytest.mark.parametrize("awaited", [False, True])
def test_a_list_that_a_call_returns_counts_as_copied(awaited) -> None:
    component = Engine().load(GUESTS / "echo.wasm")
    instance = component.instantiate(limits=Limits(host_call_bytes=10_000))
    path = "demo:echo/lists#echo-bytes"
    echo = instance[path]
    assert echo(bytes(9_000)) == bytes(9_000)

    async def main() -> None:
        await echo.call_async(bytes(10_001))

    with pytest.raises(LimitExceeded) as caught:
        asyncio.run(main()) if awaited else echo(bytes(10_001))
    assert_says(caught.value, "host_call_bytes", 10_000, component, path)


def test_limits_are_of_each_call_and_not_of_all_calls(faults) -> None:
    instance = faulty(faults, host_call_bytes=64 * 1024)
    for _ in range(20):
        instance["flood"](1, 32 * 1024)
    assert instance["count"]() == 1


def test_one_poisoned_instance_does_not_touch_its_siblings(faults) -> None:
    first, second = faulty(faults, cpu_per_call=0.05), faulty(faults)
    assert second["count"]() == 1
    with pytest.raises(LimitExceeded):
        first["spin"]()
    assert second["count"]() == 2


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"memory": "lots"}, "memory: expected bytes"),
        ({"memory": -1}, "memory: expected a number of bytes"),
        ({"call_timeout": 0}, "call_timeout: expected seconds above 0"),
        ({"call_timeout": float("nan")}, "call_timeout: expected seconds above 0"),
        ({"cpu_per_call": float("inf")}, "cpu_per_call: expected seconds above 0"),
        ({"open_handles": -1}, "open_handles: expected a count"),
        ({"tables": 1.5}, "tables: expected a count"),
        ({"memories": True}, "memories: expected a count, got True"),
        ({"core_instances": "64"}, "core_instances: expected a count, got '64'"),
        ({"table_elements": 1 << 62}, "table_elements: expected a count"),
        ({"memory": True}, "memory: expected bytes"),
        ({"memory": 1.5}, "memory: expected bytes"),
        ({"memory": 1 << 62}, "memory: expected a number of bytes"),
        ({"memory": "64 Mb"}, "memory: expected bytes"),
        ({"memory": ""}, "memory: expected bytes"),
        ({"host_call_bytes": "-1"}, "host_call_bytes: expected bytes"),
        ({"call_timeout": "5"}, "call_timeout: expected seconds above 0, got '5'"),
        ({"call_timeout": -1}, "call_timeout: expected seconds above 0"),
        ({"call_timeout": True}, "call_timeout: expected seconds above 0"),
        ({"cpu_per_call": 1e9}, "cpu_per_call: expected seconds above 0"),
    ],
)
def test_a_bound_that_is_none_is_refused(setting, words) -> None:
    with pytest.raises(ValueError, match=words):
        Limits(**setting)
