"""The policy files of a running server: taken as they change, if they are policies."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from airssys.osl import read_records
from airssys.wasm import GuestError, Host

pytestmark = pytest.mark.timeout(60)

READER = Path(__file__).parents[3] / "build" / "components" / "file-reader.wasm"
NAME = "acme/reader"
ASKS = {"filesystem": [{"path": "/data/**", "access": ["read"]}]}
READING = '[[rule]]\nto = ["acme/*"]\naccess = ["read"]\ntarget = ["{data}/**"]\n'
DENYING = '[[rule]]\neffect = "deny"\nto = ["acme/*"]\naccess = ["read"]\ntarget = ["{data}/**"]\n'


def spoilt(path, text):
    path.write_text(text[:-4])


def binary(path, _text):
    path.write_bytes(b"\x00\xff\x13")


def pipe(path, _text):
    os.mkfifo(path)


def folder(path, _text):
    path.mkdir()


def reloads(served):
    """Return what came of reading the policy again, as the log has it."""
    records = list(read_records(served.state / "audit", operation="policy.reload"))
    return [record.target for record in records]


def put(served, policy, make, text):
    """Put something in the place of the policy, as deployments do; wait until it was looked at."""
    before = len(reloads(served))
    beside = policy.with_name("beside")
    make(beside, text)
    if beside.is_dir():
        policy.unlink(missing_ok=True)
    beside.rename(policy)
    end = time.monotonic() + 30
    while len(found := reloads(served)) == before:
        assert time.monotonic() < end, "the policy was not read again"
    return found[-1]


def test_a_policy_that_is_none_is_one_error_and_the_old_one_stays_in_force(serve, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").write_text("what it says")
    policy = tmp_path / "policy.toml"
    reading, denying = READING.format(data=data), DENYING.format(data=data)
    policy.write_text(reading)
    served = serve(tmp_path / "state", AIRSSYS_POLICY=str(policy))
    with Host.connect_blocking(served.address) as host:
        reader = host.deploy(
            READER, name=NAME, capabilities=ASKS, mounts={"/data": data}, grant="requested"
        )
        reader.call("open-file", "/data/file")
        for make, problem in (
            (spoilt, "policy.toml:4:"),
            (binary, "is not UTF-8"),
            (pipe, "is a named pipe; expected a regular file"),
            (folder, "Is a directory"),
        ):
            assert problem in put(served, policy, make, reading)
            reader.call("open-file", "/data/file")
            policy.rmdir() if policy.is_dir() else policy.unlink()
        policy.write_text(denying)
        end = time.monotonic() + 30
        while True:
            try:
                reader.call("open-file", "/data/file")
            except GuestError:
                break
            assert time.monotonic() < end, "the new policy was not taken"
    code, said = served.end()
    assert code == 0
    # One line each, with the file and the next step.
    lines = [line for line in said.splitlines() if "the old one stays in force" in line]
    assert len(lines) == 4, said
    assert all(str(policy) in line for line in lines)
