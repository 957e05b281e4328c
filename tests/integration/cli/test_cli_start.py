"""What a command costs before it does anything: nothing is loaded that it does not use."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import airssys
from airssys.cli.commands import Commands
from airssys.cli.exit_codes import EXIT_CODES
from airssys.errors import AirsSysError

PACKAGES = (
    "osl",
    "rt",
    "wasm",
    "wasm.actors",
    "wasm.contracts",
    "wasm.delivery",
    "wasm.manifest",
    "wasm.quotas",
    "wasm.trust",
)
REPORT = """
import json, sys
from airssys.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    sys.stderr.write(json.dumps(sorted(sys.modules)))
"""
TWINS = """
import airssys.rt.actor, airssys.rt, airssys.osl.operation, airssys.osl
from airssys.osl import operation, sync
print(airssys.rt.actor.__name__, operation.__name__, sync.__name__)
print(callable(airssys.rt.actor), callable(operation))
"""


def loaded(*arguments: str, cwd: Path) -> set[str]:
    """The modules that a command has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT, *arguments], cwd=cwd, capture_output=True, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--version",), id="version"),
        pytest.param(("list", "--json"), id="list"),
        pytest.param(("audit", "verify"), id="audit"),
    ],
)
def test_a_quick_command_loads_no_actors_event_loop_cryptography_or_tables(arguments, tmp_path):
    (tmp_path / "airssys.toml").write_text('schema = 1\nhost.state = "state"\n')
    modules = loaded(*arguments, cwd=tmp_path)
    assert "airssys._core" in modules
    heavy = {
        "asyncio",
        "airssys.rt.system",
        "airssys.wasm.host_core",
        "cryptography",
        "pydantic",
        "rich",
    }
    assert not modules & heavy


def test_every_command_of_a_module_is_known_and_found():
    commands = Commands()
    assert all(command.name == name for name, command in commands.items())
    folder = Path(airssys.__file__).parent / "cli"
    added = {
        node.args[0].id
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Call)
        and ast.unparse(node.func.func) == "app.command"
    }
    shown = {
        getattr(command.callback, "__wrapped__", command.callback).__name__
        for command in commands.values()
        if command.callback is not None
    }
    assert added <= shown


def test_every_code_with_an_exit_code_is_one_of_an_error():
    for module in ("osl.functions", "rt.system", "wasm.host", "cli.configuration"):
        import_module(f"airssys.{module}")

    def codes(kind):
        yield kind.default_code
        for each in kind.__subclasses__():
            yield from codes(each)

    # These are given where the error is raised.
    own = {"no-audit-log", "audit-key", "audit-locked", "audit-full"}
    assert set(EXIT_CODES) - own <= set(codes(AirsSysError))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_names_that_are_imported_on_use_are_those_that_type_checkers_see(package):
    module = import_module(f"airssys.{package}")
    for name in module.__all__:
        assert getattr(module, name) is not None
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    seen = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("airssys.")
        for alias in node.names
        if node.module != "airssys._lazy"
    }
    assert sorted(seen) == sorted(module.__all__)
    for name, place in seen.items():
        assert getattr(import_module(place), name) is getattr(module, name)


def test_a_name_that_is_a_module_too_is_what_the_package_says():
    done = subprocess.run([sys.executable, "-c", TWINS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["actor", "operation", "airssys.osl.sync", "True", "True"]


def test_a_name_that_a_package_has_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'airssys\.wasm' has no attribute 'Nothing'"):
        import_module("airssys.wasm").Nothing  # noqa: B018
