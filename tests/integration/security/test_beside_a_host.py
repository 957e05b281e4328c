"""What people type in one process about a host that runs in another."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airssys.osl import read_records
from airssys.wasm import GuestError, Host
from airssys.wasm.security.approval_records import ApprovalRecords
from airssys.wasm.state_directory import open_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "acme/reader"
HOST = Path(__file__).with_name("host_process.py")
COMPONENTS = Path(__file__).parents[3] / "build" / "components"
ASK = """
[[rule]]
name = "ask the operator"
effect = "ask"
to = ["acme/*"]
access = ["read"]
target = ["{data}/**"]
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "file").write_bytes(b"what it says" * 10)
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def start(state: Path, data: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a host process, which ends with the test."""
    with contextlib.ExitStack() as ending:

        def started(*policy: Path) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, HOST, state, data, *policy],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            ending.callback(end, process)
            return process

        yield started


@pytest.fixture
def airssys(state: Path) -> Callable[..., Any]:
    """Run a command about the state directory; its JSON, or what it said when it failed."""

    def run(*arguments: object, code: int = 0) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", "from airssys.cli import main; main()"]
            + [str(each) for each in arguments]
            + ["--state", str(state), "--json"],
            capture_output=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert done.returncode == code, done.stderr.decode()
        return json.loads(done.stdout) if code == 0 else done.stderr.decode()

    return run


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def rights(state: Path) -> list[tuple[str, str, str]]:
    return [
        (record.operation, record.rule, record.detail)
        for record in read_records(state / "audit")
        if record.operation.startswith("rights.")
    ]


def test_a_guest_that_reads_is_stopped_and_goes_on_by_what_another_process_types(
    start: Callable[..., subprocess.Popen[str]], airssys: Callable[..., Any], state: Path
) -> None:
    process = start()
    assert says(process) == "read"
    (held,) = airssys("grants", NAME)["grants"]
    assert (held["kind"], held["target"]) == ("filesystem", "/data/**")

    done = airssys("revoke", NAME, held["id"], "--why", "it reads too much")
    assert (done["host"], done["in_force"]) == (str(process.pid), True)
    assert says(process) == "refused"
    shown = airssys("grants", NAME)
    assert shown["grants"] == []
    assert shown["requests"][0]["state"] == "not"

    (made,) = airssys("grant", NAME, "filesystem[0]", "--until", "1h")["granted"]
    assert made["until"] is not None
    assert says(process) == "read"
    airssys("revoke", NAME, "--all")
    assert says(process) == "refused"
    assert [each[:2] for each in rights(state)] == [
        ("rights.grant", "grant-1"),
        ("rights.revoke", "grant-1"),
        ("rights.grant", "grant-2"),
        ("rights.revoke", "grant-2"),
    ]
    assert rights(state)[1][2].endswith(": it reads too much")


def test_whoever_waits_is_told_when_no_instance_is_left_that_had_the_right(
    airssys: Callable[..., Any], state: Path, data: Path
) -> None:
    def tried() -> str:
        try:
            reader.call("read-file", 1)
        except GuestError as refusal:
            return str(refusal.value)
        return "read"

    asks = {"filesystem": [{"path": "/data/**", "access": ["read"]}]}
    with Host.open_blocking(state) as host:
        reader = host.deploy(
            COMPONENTS / "file-reader.wasm",
            name=NAME,
            lifetime="pooled",
            instances=1,
            capabilities=asks,
            mounts={"/data": data},
            grant="requested",
        )
        reader.call("open-file", "/data/file")
        assert tried() == "read"
        assert airssys("revoke", NAME, "--all")["in_force"]
        # What the standard library makes of the first error of a stream.
        assert tried() == "Uncategorized", "the instance holds what it opened"
        airssys("grant", NAME, "--requested")
        assert tried() == "read"
        done = airssys("revoke", NAME, "--all", "--wait")
        assert (done["host"], done["replaced"]) == (str(os.getpid()), True)
        assert tried() == "nothing is open", "another instance"
    with Host.open_blocking(state) as host:
        assert host.deployment(NAME).grants() == ()


def test_what_is_granted_while_no_host_runs_is_recorded_by_the_next(
    start: Callable[..., subprocess.Popen[str]],
    airssys: Callable[..., Any],
    state: Path,
) -> None:
    process = start()
    assert says(process) == "read"
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == 0
    done = airssys("revoke", NAME, "--all")
    assert (done["host"], done["in_force"]) == (None, False)
    assert len(rights(state)) == 1
    with Host.open_blocking(state) as host:
        assert host.deployment(NAME).grants() == ()
    assert [each[0] for each in rights(state)] == ["rights.grant", "rights.revoke"]


def test_a_person_approves_and_denies_at_another_terminal(
    start: Callable[..., subprocess.Popen[str]],
    airssys: Callable[..., Any],
    data: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "policy.toml").write_text(ASK.format(data=data))
    process = start(tmp_path / "policy.toml")
    waiting: list[dict[str, Any]] = []
    while not waiting:
        if (tmp_path / "state" / "airssys.db").exists():
            waiting = airssys("approvals")
    (asked,) = waiting
    assert (asked["principal"], asked["kind"], asked["access"], asked["target"]) == (
        NAME,
        "filesystem",
        "read",
        str(data / "file"),
    )
    assert asked["rule"] == "ask the operator"
    airssys("approve", asked["id"], "--why", "it is its job")
    assert says(process) == "read"
    assert airssys("approvals") == []
    assert "no access with number" in airssys("deny", asked["id"], code=3)
    process.kill()
    process.wait()

    again = start(tmp_path / "policy.toml")
    while not (waiting := airssys("approvals")):
        assert again.poll() is None
    assert waiting[0]["id"] > asked["id"]
    airssys("deny", waiting[0]["id"])
    assert says(again) == "refused"


def test_a_host_that_is_killed_leaves_nothing_to_answer(
    start: Callable[..., subprocess.Popen[str]],
    airssys: Callable[..., Any],
    data: Path,
    state: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "policy.toml").write_text(ASK.format(data=data))
    process = start(tmp_path / "policy.toml")
    while not (state / "airssys.db").exists() or not airssys("approvals"):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert airssys("approvals") == []
    with Host.open_blocking(state):
        pass
    with contextlib.closing(open_registry(state)) as registry:
        assert ApprovalRecords(registry).pending() == ()


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["grant", NAME], 2, "name the requests to grant"),
        (["grant", NAME, "http[0]"], 2, "the component has no request 'http[0]'"),
        (["grant", NAME, "filesystem[0]", "--until", "soon"], 2, "'soon' is no moment"),
        (["revoke", NAME], 2, "or give --all"),
        (["revoke", NAME, "7"], 3, "has no grant 7"),
        (["revoke", "acme/nobody", "--all"], 3, "acme/nobody"),
        (["approve", "7"], 3, "no access with number 7 waits"),
    ],
)
def test_what_cannot_be_done_is_said_once(
    start: Callable[..., subprocess.Popen[str]],
    airssys: Callable[..., Any],
    arguments: list[str],
    code: int,
    problem: str,
) -> None:
    process = start()
    assert says(process) == "read"
    assert problem in airssys(*arguments, code=code)
