"""A server whose log has no place to be written: it does not start, and says why."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from airssys.wasm import Host

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.getuid() != 0, reason="mounts need root"),
]


def served_apart(tmp_path, mounting):
    """Serve in a mount namespace of its own, after what `mounting` does to it."""
    serve = f'{sys.executable} -c "from airssys.cli import main; main()" serve --state state'
    try:
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", f"{mounting} && exec {serve}"],
            capture_output=True,
            cwd=tmp_path,
            timeout=50,
            check=False,
            env={
                **os.environ,
                "HOME": str(tmp_path),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare")


@pytest.mark.parametrize(
    ("mounting", "code", "problem"),
    [
        (
            "mount --bind state/audit state/audit && mount -o remount,ro,bind state/audit",
            1,
            "state/audit: Read-only file system",
        ),
        (
            "mv state elsewhere && mkdir state && mount -t tmpfs -o size=6m none state",
            4,
            "No space left on device",
        ),
        (
            "mv state/audit state/elsewhere && touch state/audit",
            1,
            "state/audit: File exists",
        ),
        (
            "mount -t tmpfs -o size=64m none state/audit",
            1,
            "airssys audit acknowledge --state",
        ),
    ],
    ids=["read-only", "full", "a file", "empty"],
)
def test_a_server_does_not_start_without_its_log(tmp_path, mounting, code, problem):
    Host.open_blocking(tmp_path / "state").close()
    done = served_apart(tmp_path, mounting)
    said = done.stderr.decode()
    if "mount:" in said:
        pytest.skip(said)
    assert (done.returncode, done.stdout) == (code, b"")
    assert said.count("error: ") == 1
    assert problem in " ".join(said.split())
    assert "Traceback" not in said
