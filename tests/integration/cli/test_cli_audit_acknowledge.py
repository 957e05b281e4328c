"""A host's audit log that is gone, or was pruned, by the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from airssys.wasm import Host

READER = Path(__file__).parents[3] / "build" / "components" / "file-reader.wasm"


@pytest.fixture
def state(tmp_path):
    """A state directory that a host has used."""
    with Host.open_blocking(tmp_path / "state") as host:
        host.deploy(READER, name="acme/reader")
    return tmp_path / "state"


def test_the_command_line_says_what_is_wrong_and_mends_it(state, here):
    shutil.rmtree(state / "audit")
    refused = here("list", "--state", state)
    checked = here("audit", "verify", "--state", state)
    served = here("call", "acme/reader", 'open-file("/x")', "--state", state)
    assert checked.returncode == served.returncode == 1
    assert b"it was removed" in checked.stderr
    assert f"airssys audit acknowledge --state {state} --why".encode() in b" ".join(
        served.stderr.split()
    )
    assert refused.returncode == 0, "who only looks needs no log"
    mended = here("audit", "acknowledge", "--state", state, "--why", "a disk was lost")
    assert mended.returncode == 0, mended.stderr
    assert b"acknowledged" in mended.stdout
    verified = here("audit", "verify", "--state", state)
    assert verified.returncode == 0, verified.stderr
    assert b"a truncation was acknowledged by record" in verified.stdout
    again = here("audit", "acknowledge", "--state", state, "--why", "x", "--json")
    assert again.stdout == b'{"acknowledged": false, "record": null}\n'


def test_a_log_that_was_pruned_is_whole(state, here):
    with Host.open_blocking(state) as host:
        for _ in range(9_000):
            host.osl.audit.record(None, "some.thing", "x" * 4000, "done")
    pruned = here("audit", "prune", "--state", state, "--keep-size", "1MiB", "--json")
    assert pruned.returncode == 0, pruned.stderr
    assert pruned.stdout.strip() != b"null"
    Host.open_blocking(state).close()
    verified = here("audit", "verify", "--state", state)
    assert verified.returncode == 0, verified.stderr
    assert b"were pruned" in verified.stdout
