"""Typed Python made of WIT: it type-checks, it is stable, and calls through it work."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from airssys.authoring import WitError
from airssys.authoring.bindgen import bindings_of
from airssys.wasm import GuestError, Host, StorageSettings
from airssys.wasm import WitError as GuestSees
from airssys.wasm.contracts import contract_of
from airssys.wasm.values import Err, Ok

BUILT = Path(__file__).parents[3] / "build" / "components"


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Import the bindings of a component of this project."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(component: str):
        name = f"made_{component.replace('-', '_')}"
        file = tmp_path / f"{name}.py"
        file.write_text(bindings_of(BUILT / f"{component}.wasm", blocking=True), "utf-8")
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return make


@pytest.fixture
def opened(tmp_path):
    """Open a host."""

    def opens(**options):
        storage = StorageSettings(in_memory=True)
        return Host.open_blocking(tmp_path / "state", storage=storage, **options)

    return opens


def test_every_type_crosses_both_ways(made, opened):
    echo = made("echo")
    person = echo.Person("Ada", 36, ["a"], b"\0\xff", echo.Address("s", 1, echo.Point(-1, 2)), [])
    with opened() as host:
        deployed = host.deploy(BUILT / "echo.wasm", name="demo/echo")
        records, variants = (
            deployed.implementing(echo.Records),
            deployed.implementing(echo.Variants),
        )
        assert records.echo_people([person, person]) == [person, person]
        assert records.echo_pair((1, "x")) == (1, "x")
        assert records.check_order(echo.Order(1, "x", 2.0)) == echo.Order(1, "x", 2.0)
        with pytest.raises(GuestError):
            records.check_order(echo.Order(1, "", -1.0))
        assert variants.echo_color(echo.Color.DARK_BLUE) is echo.Color.DARK_BLUE
        shapes = [
            echo.ShapeEmpty(),
            echo.ShapeCircle(1.5),
            echo.ShapeRectangle((1.0, 2.0)),
            echo.ShapeDrawnBy(person),
            echo.ShapeMaybe(None),
            echo.ShapeMaybe(echo.Point(1, 2)),
            echo.ShapeOutcome(Ok(3)),
            echo.ShapeOutcome(Err("no")),
            echo.ShapeColored(echo.Color.RED),
        ]
        assert variants.echo_shapes(shapes) == shapes
        flags = echo.Flags9.B0 | echo.Flags9.B8
        assert variants.echo_flag_list([flags, echo.Flags9(0)]) == [flags, echo.Flags9(0)]
        options = deployed.implementing(echo.Options)
        assert [options.echo_person(each) for each in (None, person)] == [None, person]
        results = deployed.implementing(echo.Results)
        assert results.echo_in_list([Ok(1), Err("x")]) == [Ok(1), Err("x")]


def test_what_a_component_imports_is_offered(made, opened):
    host_calls = made("host-calls")

    class Store:
        entries: ClassVar = {}

        def get(self, key):
            if key not in self.entries:
                raise GuestSees(host_calls.FailureNotFound(key))
            return self.entries[key].value

        def put(self, entry):
            assert isinstance(entry, host_calls.Entry)
            self.entries[entry.key] = dataclasses.replace(entry, version=7)
            return 7

        def find(self, prefix, limit):
            return [each for key, each in self.entries.items() if key.startswith(prefix)][:limit]

    class Log:
        lines: ClassVar = []

        def log(self, message):
            self.lines.append(message)

        def log_at(self, level, message, fields):
            self.lines.append((level, message, fields))

    class Math:
        def next(self, value):
            return value + 1

        def scale(self, bytes, factor):  # noqa: A002 - as in WIT
            return bytes * factor

        def slow(self, milliseconds):
            return milliseconds

    provides = {host_calls.Store: Store(), host_calls.Log: Log(), host_calls.Math: Math()}
    with opened(provides=provides) as host:
        deployed = host.deploy(
            BUILT / "host-calls.wasm", name="demo/calls", implements=host_calls.Root
        )
        assert deployed.api.count(5) == 5
        Store.entries["one"] = host_calls.Entry("one", b"x", None)
        deployed.api.append("one", 9)
        assert Store.entries["one"].version == 7
        assert deployed.api.keys("o", None) == ["one"]
        with pytest.raises(GuestError):
            deployed.api.get("nothing")
        deployed.api.log_all_levels("hello")
        assert any(
            isinstance(each, tuple) and each[0] is host_calls.Level.DEBUG for each in Log.lines
        )


@pytest.mark.parametrize("component", ["echo", "calculator", "host-calls"])
def test_components_are_what_their_bindings_say(made, component):
    module, content = made(component), (BUILT / f"{component}.wasm").read_bytes()
    contracts = [contract_of(each) for each in vars(module).values()]
    own = [each for each in contracts if each is not None]
    assert own
    for contract in own:
        if not contract.name.startswith("demo:host/"):  # those it imports
            contract.required.check(content)


@pytest.mark.timeout(300)
def test_it_type_checks_and_is_the_same_each_time(tmp_path, airssys):
    files = []
    for component in ("echo", "calculator", "host-calls", "resources"):
        for blocking in (False, True):
            file = tmp_path / f"{component.replace('-', '_')}{int(blocking)}.py"
            file.write_text(bindings_of(BUILT / f"{component}.wasm", blocking=blocking), "utf-8")
            files.append(file)
    again = tmp_path / "again.py"
    done = airssys("bindgen", BUILT / "echo.wasm", "--blocking", "-o", again)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "echo1.py").read_bytes() == again.read_bytes()
    use = tmp_path / "use.py"
    use.write_text(
        "from airssys.wasm import BlockingDeployment\n"
        "from echo1 import Point, Records\n\n\n"
        "def use(deployment: BlockingDeployment) -> int:\n"
        "    return deployment.implementing(Records).echo_point(Point(1, 2)).x\n"
    )
    wrong = tmp_path / "wrong.py"
    wrong.write_text(use.read_text().replace("Point(1, 2)", "'point'").replace("use(", "wrong("))
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *map(str, files), str(use), str(wrong)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    problems = [line for line in checked.stdout.splitlines() if "error:" in line]
    assert len(problems) == 1, checked.stdout
    assert problems[0].startswith("wrong.py:6:")
    assert 'has incompatible type "str"; expected "Point"' in problems[0]


def test_what_cannot_be_bound_is_told(tmp_path):
    text = bindings_of(BUILT / "resources.wasm")
    assert "    # make-many is left out: it needs" in text
    wit = tmp_path / "world.wit"
    wit.write_text("package a:b;\n\nworld w {\n    export f: func(x: nosuch);\n}\n")
    with pytest.raises(WitError, match="nosuch"):
        bindings_of(wit)
    wit.write_text("package a:b;\n\nworld w {}\n")
    with pytest.raises(WitError, match="no functions"):
        bindings_of(wit)
    wit.write_text("package a:b;\n\ninterface i {\n    /// Says so.\n    f: func() -> u8;\n}\n")
    assert '        """Says so."""' in bindings_of(wit)


TEXT = """(component
    (core module $m (func (export "f") (param i32) (result i32) local.get 0))
    (core instance $i (instantiate $m))
    (func $twice (param "of" u32) (result u32) (canon lift (core func $i "f")))
    (instance $api (export "twice" (func $twice)))
    (export "demo:text/api" (instance $api)))
"""


def test_a_component_in_text_format_is_bound_and_implements(tmp_path, opened):
    file = tmp_path / "twice.wat"
    file.write_text(TEXT)
    name = "made_of_text"
    made = tmp_path / f"{name}.py"
    made.write_text(bindings_of(file, blocking=True), "utf-8")
    spec = importlib.util.spec_from_file_location(name, made)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with opened() as host:
        deployed = host.deploy(file, name="demo/text", implements=module.Api)
        assert deployed.implementing(module.Api).twice(3) == 3


def test_a_broken_component_in_text_format_is_no_wit(tmp_path):
    file = tmp_path / "broken.wat"
    file.write_text("(component (kernel))")
    with pytest.raises(WitError, match="begins as a component in text format"):
        bindings_of(file)
