"""Errors travel between processes whole, and blocks keep their own."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from airssys.errors import AirsSysError
from airssys.wasm import Engine, GuestError, Host, HostClosed, Limits

ROOT = Path(__file__).parents[3]
GUESTS = ROOT / "build" / "components"
TEXTS = ROOT / "components" / "wat"
CALL_BACK = TEXTS / "call-back.wat"


def faulty(**bounds):
    sink = {"push": lambda _bytes: None, "pull": bytes}
    component = Engine().load(GUESTS / "faults.wasm")
    return component.instantiate(limits=Limits(**bounds), imports={"demo:faults/sink": sink})


def poisoned():
    instance = faulty()
    instance.close()
    instance["count"]()


def trapped():
    faulty()["trap"]()


def beyond_a_limit():
    faulty(cpu_per_call=0.01)["spin"]()


def busy():
    def back(depth: int) -> int:
        return instance["enter"](depth)

    component = Engine(cache=None).load(CALL_BACK)
    instance = component.instantiate(imports={"demo:wat/host": {"back": back}})
    with pytest.raises(AirsSysError) as caught:
        instance["enter"](1)
    assert caught.value.__cause__ is not None
    raise caught.value.__cause__


def unknown_deployment(directory):
    with Host.open_blocking(directory) as host:
        host.deploy(TEXTS / "minimal.wat", name="demo/minimal")
        host.deployment("demo/minimol")


def unknown_revision(directory):
    with Host.open_blocking(directory) as host:
        host.deploy(TEXTS / "minimal.wat", name="demo/minimal").rollback(to=7)


RAISING = {
    "Trap": trapped,
    "LimitExceeded": beyond_a_limit,
    "InstancePoisoned": poisoned,
    "InstanceBusy": busy,
    "InvalidComponent": lambda: Engine(cache=None).load(TEXTS / "core-module.wat"),
    "ComponentTooLarge": lambda: Engine(cache=None).load(CALL_BACK, static_limits={"functions": 0}),
    "UnknownImport": lambda: Engine(cache=None).load(CALL_BACK).instantiate(),
    "UnknownExport": lambda: faulty()["cuont"],
}
RAISING_OF_HOSTS = {
    "UnknownDeployment": unknown_deployment,
    "UnknownRevision": unknown_revision,
}


def assert_whole(error: BaseException, name: str) -> None:
    assert type(error).__name__ == name
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.args == error.args
        assert vars(again) == vars(error), "context, code, notes and attributes"


@pytest.mark.parametrize("name", sorted(RAISING))
def test_an_error_is_pickled_whole(name) -> None:
    with pytest.raises(AirsSysError) as caught:
        RAISING[name]()
    assert_whole(caught.value, name)


@pytest.mark.parametrize("name", sorted(RAISING_OF_HOSTS))
def test_an_error_of_a_host_is_pickled_whole(name, tmp_path) -> None:
    with pytest.raises(AirsSysError) as caught:
        RAISING_OF_HOSTS[name](tmp_path)
    assert_whole(caught.value, name)


def test_the_notes_of_a_trap_travel_with_it() -> None:
    with pytest.raises(AirsSysError) as caught:
        faulty()["trap"]()
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.__notes__ == caught.value.__notes__
    assert "guest backtrace" in again.__notes__[0]


def test_an_error_value_of_a_guest_is_pickled() -> None:
    error = GuestError({"reason": "not-found"})
    assert pickle.loads(pickle.dumps(error)).value == error.value


def test_a_block_of_a_host_keeps_its_exception(tmp_path) -> None:
    with pytest.raises(ZeroDivisionError), Host.open_blocking(tmp_path) as host:
        raise ZeroDivisionError
    with pytest.raises(HostClosed):
        host.deployments()
    with Host.open_blocking(tmp_path):
        pass  # the directory was given up


def test_a_block_of_a_closed_host_keeps_its_exception(tmp_path) -> None:
    host = Host.open_blocking(tmp_path)
    with pytest.raises(ZeroDivisionError), host:  # noqa: PT012 - what is left is closed already
        host.close()
        raise ZeroDivisionError
