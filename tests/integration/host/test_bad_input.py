"""What a host refuses: one error that names the thing, and everything left as it was."""

from __future__ import annotations

import resource
import struct

import pytest

from airssys.wasm import (
    ComponentTooLarge,
    InvalidComponent,
    LimitExceeded,
    Limits,
    Trap,
    UnknownExport,
    UnknownImport,
)
from airssys.wasm.host import Host
from airssys.wasm.host_errors import (
    InvalidDeploymentName,
    InvalidSetting,
    StateDirectoryInUse,
    UnknownDeployment,
    UnknownRevision,
)

CORE_MODULE = b"\0asm\x01\0\0\0"


@pytest.fixture
def calc(host, guest):
    """A live deployment that nothing below may disturb."""
    deployment = host.deploy(guest("calculator"), name="acme/calc")
    yield deployment
    assert deployment.api.version() == "1.0.0"
    assert len(deployment.history()) == 1
    assert len(list((host.directory / "blobs" / "sha256").iterdir())) == 1
    assert [each.name for each in host.deployments()] == ["acme/calc"]


def broken_files(whole: bytes):
    flipped = bytearray(whole)
    flipped[len(whole) // 2 : len(whole) // 2 + 64] = bytes(range(64))
    return {
        "empty": b"",
        "one byte": whole[:1],
        "header only, cut": whole[:6],
        "cut in the middle": whole[: len(whole) // 2],
        "cut at the end": whole[:-1],
        "corrupt": bytes(flipped),
        "not WebAssembly": b"\x7fELF" + whole[4:],
        "another version of the format": whole[:4] + struct.pack("<I", 0x9999) + whole[8:],
        "trailing bytes": whole + b"garbage after the end",
    }


@pytest.mark.parametrize("case", broken_files(bytes(16)))
def test_a_broken_file_is_refused(calc, guest, case):
    with pytest.raises(InvalidComponent):
        calc.deploy(broken_files(guest("calculator").read_bytes())[case])


def test_a_core_module_is_told_how_to_become_a_component(calc):
    with pytest.raises(InvalidComponent, match="wasm32-wasip2"):
        calc.deploy(CORE_MODULE)


def test_text_with_a_mistake_is_refused(calc):
    with pytest.raises(InvalidComponent, match="expected"):
        calc.deploy(b"(component (import")


def test_an_oversized_file_is_refused_before_it_is_compiled(calc):
    content = b"\0asm\x0d\0\x01\0" + bytes(300 << 20)
    with pytest.raises(ComponentTooLarge, match="bytes"):
        calc.deploy(content)


def test_a_missing_file_is_named(calc, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        calc.deploy(tmp_path / "nowhere.wasm")


def test_an_unknown_import_is_named_with_the_nearest_known(state, guest):
    class Log:
        def lgo(self, message):
            pass

    with (
        Host.open_blocking(state, provides={"demo:host/log": Log()}) as host,
        pytest.raises(UnknownImport, match=r"demo:host/log#log'.*demo:host/log#lgo"),
    ):
        host.deploy(guest("host-calls"), name="acme/calls")


def test_a_component_that_traps_at_its_start_is_refused(calc):
    source = b"""(component
        (core module $m (func $start unreachable) (start $start))
        (core instance (instantiate $m)))"""
    with pytest.raises(Trap, match="unreachable"):
        calc.deploy(source)


def test_a_component_that_spins_at_its_start_is_refused(calc):
    source = b"""(component
        (core module $m (func $start (loop br 0)) (start $start))
        (core instance (instantiate $m)))"""
    with pytest.raises(LimitExceeded, match="cpu_per_call"):
        calc.deploy(source, limits=Limits(cpu_per_call=0.1))


def test_a_component_that_needs_more_memory_than_it_may_have_is_refused(calc, guest):
    with pytest.raises(LimitExceeded, match="memory"):
        calc.deploy(guest("calculator-1-1"), limits=Limits(memory="64KiB"))


def test_a_wrong_function_is_answered_with_the_near_ones(calc):
    with pytest.raises(UnknownExport, match="no export 'addd'; did you mean 'add'"):
        calc.call("addd", 1, 2)
    with pytest.raises(UnknownExport, match="demo:calc/ops#divide"):
        calc.call("demo:calc/ops#divid", 1, 2)


@pytest.mark.parametrize(
    ("arguments", "named", "error", "message"),
    [
        ((1,), {}, TypeError, "add takes 2 arguments, got 1"),
        ((1, 2, 3), {}, TypeError, "add takes 2 arguments, got 3"),
        ((1, "2"), {}, TypeError, "argument 'b': expected u32"),
        ((1, -2), {}, ValueError, "argument 'b': expected u32, got -2"),
        ((1,), {"c": 2}, TypeError, "'b'"),
    ],
)
def test_wrong_arguments_are_named(calc, arguments, named, error, message):
    with pytest.raises(error, match=message):
        calc.call("add", *arguments, **named)


@pytest.mark.parametrize("name", ["calc", "Acme/calc", "acme/../calc", "acme/" + "a" * 65, ""])
def test_a_wrong_name_is_refused(calc, host, guest, name):
    with pytest.raises(InvalidDeploymentName, match="3 to 64"):
        host.deploy(guest("calculator"), name=name)


@pytest.mark.parametrize(
    "setting",
    [{"lifetime": "forever"}, {"instances": 0}, {"drain": -1}, {"drain": "soon"}, {"keep": -1}],
)
def test_a_wrong_setting_is_refused(calc, host, guest, setting):
    with pytest.raises(InvalidSetting):
        host.deploy(guest("calculator"), name="acme/other", **setting)


def test_an_unknown_deployment_or_revision_is_answered_with_the_known_ones(calc, host):
    with pytest.raises(UnknownDeployment, match="did you mean acme/calc"):
        host.call("acme/calk", "add", 1, 2)
    with pytest.raises(UnknownRevision, match="its revisions are 1"):
        calc.rollback(7)


def test_two_hosts_do_not_share_a_directory(calc, host):
    with pytest.raises(StateDirectoryInUse, match="another host of this process"):
        Host.open_blocking(host.directory)


def test_a_deploy_that_the_disk_refuses_leaves_the_old_revision(state, guest, python):
    process = python(
        """
        import resource, sys
        from airssys.wasm.engine import Engine
        from airssys.wasm.host import Host
        from airssys.wasm.host_errors import StateWriteFailed
        state, first, second = sys.argv[1:]
        Engine().load(second)
        with Host.open_blocking(state) as host:
            calc = host.deploy(first, name="acme/calc")
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
            for _ in range(2):
                try:
                    calc.deploy(second)
                except StateWriteFailed as error:
                    print(error)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            print(calc.api.version(), len(calc.history()), len(host.deployments()))
            calc.deploy(second)
            print(calc.api.version())
        """,
        state,
        guest("calculator"),
        guest("calculator-1-1"),
    )
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    first, second, then, last = output.splitlines()
    assert first == second
    assert first.startswith("cannot store a component of")
    assert "no room in state directory" in first
    assert (then, last) == ("1.0.0 1 1", "1.1.0")


def test_a_host_without_room_for_its_lock_says_so(state, python):
    """The first write of all is refused."""
    process = python(
        """
        import sys
        from airssys.wasm.host import Host
        from airssys.wasm.host_errors import StateWriteFailed
        try:
            Host.open_blocking(sys.argv[1])
        except StateWriteFailed as error:
            print(error)
        """,
        state,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    output, errors = process.communicate()
    assert "state directory" in output, errors
