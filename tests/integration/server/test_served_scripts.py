"""Scripts beside a server: deployed by the command, followed by `dev`, called by whoever calls."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from airssys.authoring import script
from airssys.wasm import Canary, Host
from airssys.wasm.scripts import ScriptError

pytestmark = pytest.mark.timeout(600)  # the first one builds the loader

GREETER = """
def greet(name: str) -> str:
    return f"Hello, {name}!"


def divide(one: int, other: int) -> float:
    return one / other
"""
COMMAND = [sys.executable, "-c", "from airssys.cli import main; main()"]


@pytest.fixture
def airssys(served, tmp_path):
    """Run the command beside the server."""

    def run(*arguments: object):
        return subprocess.run(
            [*COMMAND, *map(str, arguments), "--state", str(served.state)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            cwd=tmp_path,
        )

    return run


def test_a_script_is_deployed_called_and_rolled_back_by_command(airssys, tmp_path):
    file = tmp_path / "handler.py"
    file.write_text(GREETER)
    deployed = airssys("deploy", file, "--name", "acme/greeter")
    assert deployed.returncode == 0, deployed.stderr
    assert airssys("call", "acme/greeter", 'greet("Ada")').stdout == '"Hello, Ada!"\n'
    failed = airssys("call", "acme/greeter", "divide(1, 0)")
    assert failed.returncode == 5
    assert "handler.py:7: ZeroDivisionError: division by zero" in failed.stderr
    file.write_text("def greet(name)\n    return 1\n")
    refused = airssys("deploy", file, "--name", "acme/greeter")
    assert refused.returncode != 0
    assert "handler.py:1: SyntaxError" in refused.stderr
    file.write_text(GREETER.replace("Hello", "Good day"))
    assert airssys("deploy", file, "--name", "acme/greeter").returncode == 0
    assert airssys("call", "acme/greeter", 'greet("Ada")').stdout == '"Good day, Ada!"\n'
    assert airssys("rollback", "acme/greeter").returncode == 0
    assert airssys("call", "acme/greeter", 'greet("Ada")').stdout == '"Hello, Ada!"\n'


def test_a_connected_host_takes_scripts_and_tells_their_errors(served, tmp_path):
    file = tmp_path / "handler.py"
    file.write_text(GREETER)
    with Host.connect_blocking(served.address) as host:
        greeter = host.deploy(script(file), name="acme/greeter")
        assert greeter.call("greet", "Ada") == "Hello, Ada!"
        with pytest.raises(ScriptError, match=r"handler\.py:7: ZeroDivisionError") as caught:
            greeter.call("divide", 1, 0)
        assert caught.value.line == 7
        file.write_text(GREETER.replace("Hello", "Good day"))
        rollout = greeter.deploy(script(file), strategy=Canary(steps=(50,)), wait=False)
        answers = {greeter.call_for(str(key), "greet", "Ada") for key in range(40)}
        assert answers == {"Hello, Ada!", "Good day, Ada!"}
        rollout.abort()
        assert greeter.call("greet", "Ada") == "Hello, Ada!"


def test_dev_replaces_what_the_server_runs(served, tmp_path):
    file = tmp_path / "handler.py"
    file.write_text(GREETER)
    process = subprocess.Popen(
        [*COMMAND, "dev", str(file), "--name", "acme/greeter", "--state", str(served.state)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    guard = threading.Timer(300, process.kill)
    guard.start()
    try:
        told = iter(process.stdout)
        assert any("acme/greeter is at revision 1" in line for line in told)
        with Host.connect_blocking(served.address) as host:
            greeter = host.deployment("acme/greeter")
            assert greeter.call("greet", "Ada") == "Hello, Ada!"
            file.write_text("def greet(name)\n")
            assert any("handler.py:1: SyntaxError" in line for line in told)
            assert greeter.call("greet", "Ada") == "Hello, Ada!"
            file.write_text(GREETER.replace("Hello", "Good day"))
            assert any("acme/greeter is at revision 2" in line for line in told)
            assert greeter.call("greet", "Ada") == "Good day, Ada!"
    finally:
        guard.cancel()
        process.kill()
        process.communicate()
