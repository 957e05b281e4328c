"""What the command line says to somebody who does not know it yet."""

from __future__ import annotations

import json

import pytest

from airssys.cli import names
from airssys.wasm.state_lock import StateLock

WAT = """
(component
  (core module $m (func (export "version") (result i32) (i32.const 1)))
  (core instance $i (instantiate $m))
  (func (export "version") (result u32) (canon lift (core func $i "version"))))
"""


@pytest.fixture
def component(here):
    file = here.work / "calc.wat"
    file.write_text(WAT)
    return file


def test_a_command_waits_for_whoever_has_the_directory_open_for_a_moment(
    here, component, monkeypatch
):
    (here.work / "state").mkdir()
    lock = StateLock(here.work / "state")
    looked = []

    def look(_seconds):
        looked.append(True)
        if len(looked) == 3:
            lock.release()

    monkeypatch.setattr(names.time, "sleep", look)
    done = here("deploy", component, "--name", "acme/calc", "--state", "state")
    assert (done.returncode, len(looked)) == (0, 3), done.stderr


def test_whoever_has_the_directory_open_for_long_is_named(here, component, monkeypatch):
    monkeypatch.setattr(names, "PATIENCE", 0.0)
    (here.work / "state").mkdir()
    lock = StateLock(here.work / "state")
    done = here("deploy", component, "--name", "acme/calc", "--state", "state", "--json")
    lock.release()
    error = json.loads(done.stderr)["error"]
    assert (done.returncode, error["code"]) == (4, "state-directory-in-use")
    assert "--server ADDRESS" in error["hint"]


def test_a_component_in_text_has_the_digest_that_its_deployment_has(here, component):
    assert here("deploy", component, "--name", "acme/calc", "--state", "state").returncode == 0
    shown = json.loads(here("inspect", component, "--json").stdout)
    listed = json.loads(here("list", "--state", "state", "--json").stdout)
    assert shown["digest"] == listed[0]["live"]["digest"]
    said = here("status", "--state", "state").stderr.decode()
    assert "1 deployment, " in said
    assert str(here.work / "state") in said


def test_wrong_usage_leads_to_the_help_of_its_own_command(here):
    for arguments, command in (
        (("deploy", "--nope"), "airssys deploy"),
        (("rollout", "weight", "acme/calc"), "airssys rollout weight"),
        (("nope",), "airssys"),
    ):
        done = here(*arguments)
        assert done.returncode == 2
        assert f"`{command} --help` explains" in done.stderr.decode()


def test_what_is_no_state_directory_is_said_once(here):
    (here.work / "file").touch()
    said = here("list", "--state", "file").stderr.decode()
    assert "file is not a directory" in said
    said = here("deploy", "--name", "acme/calc").stderr.decode()
    assert "name the component: `airssys deploy FILE`" in said
    (here.work / "calc.wat").write_text(WAT)
    done = here("deploy", "calc.wat", "--name", "acme/calc", "--state", "/proc/none")
    said = done.stderr.decode()
    assert (done.returncode, said.count("state directory")) == (4, 1), said
    assert "/proc/none" in said


def test_an_address_without_a_port_is_told_how_one_is_written(here):
    done = here("serve", "--state", "state", "--http", "127.0.0.1")
    assert done.returncode != 0
    assert "expected an address and a port, as 127.0.0.1:8080" in done.stderr.decode()
