"""What a trap tells, and how the errors of host functions and guests travel."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path

import pytest

from airssys.wasm import (
    Component,
    Engine,
    GuestError,
    Instance,
    InstancePoisoned,
    Limits,
    Trap,
    Wasi,
    WitError,
)

ROOT = Path(__file__).parents[3]
GUESTS = ROOT / "build" / "components"
TEXTS = ROOT / "components" / "wat"


class Sink:
    """The import of the faulty guest."""

    def push(self, data: bytes) -> None:
        """Take it."""

    def pull(self, size: int) -> bytes:
        return bytes(size)


@pytest.fixture(scope="module")
def faults() -> Component:
    return Engine().load(GUESTS / "faults.wasm")


@pytest.fixture(scope="module")
def host_calls() -> Component:
    return Engine().load(GUESTS / "host-calls.wasm")


def faulty(faults: Component, sink: object = None, **others) -> Instance:
    return faults.instantiate(imports={"demo:faults/sink": sink or Sink()}, **others)


def trap_of(instance: Instance, call: str, *arguments: object, awaited: bool) -> Trap:
    async def main() -> None:
        await instance[call].call_async(*arguments)

    with pytest.raises(Trap) as caught:
        asyncio.run(main()) if awaited else instance[call](*arguments)
    return caught.value


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize(
    ("call", "arguments", "reason"),
    [
        ("trap", (), "unreachable"),
        ("read-out-of-bounds", (), "out of bounds memory access"),
        ("panic", ("at the disco",), "unreachable"),
        ("divide", (1, 0), "unreachable"),
    ],
)
def test_a_trap_tells_its_reason_and_its_frames(faults, call, arguments, reason, awaited) -> None:
    instance = faulty(faults)
    trap = trap_of(instance, call, *arguments, awaited=awaited)
    assert reason in trap.reason
    assert (trap.component, trap.call) == (faults.digest, call)
    assert f"in call '{call}'" in str(trap)
    assert call in trap.backtrace
    assert all(line.startswith("  at ") for line in trap.backtrace.splitlines())
    assert "guest backtrace, innermost first" in "".join(traceback.format_exception(trap))
    assert trap.coredump is None
    with pytest.raises(InstancePoisoned, match=reason):
        instance["count"]()


def test_names_of_rust_are_readable(faults) -> None:
    trap = trap_of(faulty(faults), "panic", "oh", awaited=False)
    assert "core::panicking" in trap.backtrace or "rust_panic" in trap.backtrace
    assert "_ZN" not in trap.backtrace


def test_a_panic_writes_its_message_to_the_guests_stderr(faults) -> None:
    wasi = Wasi(stderr="capture")
    trap_of(faulty(faults, wasi=wasi), "panic", "the roof is on fire", awaited=False)
    assert b"the roof is on fire" in wasi.stderr


def test_a_core_dump_on_request(faults) -> None:
    trap = trap_of(faulty(faults, limits=Limits(coredump=True)), "trap", awaited=False)
    assert trap.coredump is not None
    assert trap.coredump.startswith(b"\0asm\x01\0\0\0")
    for section in (b"core\0", b"corestack", b"coremodules"):
        assert section[:8] in trap.coredump


def test_a_trap_of_the_start_code() -> None:
    component = Engine(cache=None).load(TEXTS / "start-trap.wat")
    with pytest.raises(Trap, match="unreachable") as caught:
        component.instantiate()
    assert (caught.value.call, caught.value.component) == ("instantiate", component.digest)

    async def main() -> None:
        await component.instantiate_async()

    with pytest.raises(Trap, match="unreachable"):
        asyncio.run(main())


@pytest.mark.parametrize("awaited", [False, True])
def test_the_exception_of_a_host_function_is_the_cause(faults, awaited) -> None:
    class Broken(Sink):
        def pull(self, size: int) -> bytes:
            raise LookupError(f"no {size} bytes")

    instance = faulty(faults, Broken())
    trap = trap_of(instance, "drain", 1, 77, awaited=awaited)
    assert isinstance(trap.__cause__, LookupError)
    assert trap.__cause__.args == ("no 77 bytes",)
    assert any("demo:faults/sink#pull" in note for note in trap.__cause__.__notes__)
    assert trap.__cause__.__traceback__ is not None
    assert "LookupError" in trap.reason
    with pytest.raises(InstancePoisoned, match="LookupError"):
        instance["count"]()


@pytest.mark.parametrize("awaited", [False, True])
def test_the_exception_of_a_host_coroutine_is_the_cause(faults, awaited) -> None:
    class Broken(Sink):
        async def pull(self, size: int) -> bytes:
            await asyncio.sleep(0)
            raise LookupError(f"no {size} bytes")

    trap = trap_of(faulty(faults, Broken()), "drain", 1, 78, awaited=awaited)
    assert isinstance(trap.__cause__, LookupError)
    assert trap.__cause__.args == ("no 78 bytes",)


@pytest.mark.parametrize("wrong", [5, "text", None, [256], [-1], object()])
def test_a_host_function_that_returns_the_wrong_type(faults, wrong) -> None:
    class Wrong(Sink):
        def pull(self, size: int) -> object:
            return wrong

    trap = trap_of(faulty(faults, Wrong()), "drain", 1, 1, awaited=False)
    assert isinstance(trap.__cause__, (TypeError, ValueError, OverflowError))
    assert any("demo:faults/sink#pull" in note for note in trap.__cause__.__notes__)


def test_the_next_instance_does_not_see_the_failure_of_the_last(faults) -> None:
    class Broken(Sink):
        def pull(self, size: int) -> bytes:
            raise LookupError

    trap_of(faulty(faults, Broken()), "drain", 1, 1, awaited=False)
    assert trap_of(faulty(faults), "trap", awaited=False).__cause__ is None


def imports_of(get) -> dict[str, object]:
    def unused(*_arguments: object) -> None:
        raise AssertionError("nobody calls this")

    return {
        "demo:host/log": {"log": unused, "log-at": unused},
        "demo:host/store": {"get": get, "put": unused, "find": unused},
        "demo:host/math": {"next": unused, "scale": unused, "slow": unused},
    }


def test_a_wit_error_is_the_error_case_that_the_guest_sees(host_calls) -> None:
    failure = host_calls.types["demo:host/store#failure"]

    def get(key: str) -> bytes:
        if key == "big":
            raise WitError(failure.TooLarge(12))
        if key == "gone":
            raise WitError(failure.NotFound(key))
        if key == "off":
            raise WitError(failure.Unavailable())
        return key.encode()

    instance = host_calls.instantiate(imports=imports_of(get))
    for key, text in (
        ("big", "too large: 12"),
        ("gone", "not found: gone"),
        ("off", "unavailable"),
    ):
        with pytest.raises(GuestError) as caught:
            instance["get"](key)
        assert caught.value.value == text
    assert instance["get"]("here") == b"here", "an error case harms nothing"


def test_a_wit_error_of_the_wrong_type_is_a_trap(host_calls) -> None:
    def get(key: str) -> bytes:
        raise WitError({"not": "a failure"})

    instance = host_calls.instantiate(imports=imports_of(get))
    trap = trap_of(instance, "get", "x", awaited=False)
    assert isinstance(trap.__cause__, (TypeError, ValueError))


def test_a_wit_error_where_there_is_no_error_case_is_a_trap(faults) -> None:
    class Wrong(Sink):
        def push(self, data: bytes) -> None:
            raise WitError("there is nowhere to put this")

    trap = trap_of(faulty(faults, Wrong()), "flood", 1, 1, awaited=False)
    assert trap.__cause__ is not None
