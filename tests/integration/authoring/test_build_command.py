"""`build.command`: a project is built by what it says itself."""

from __future__ import annotations

import pytest

from airssys.authoring import BuildFailed, build
from airssys.testing.components import component_under_test

#: A core module with `add`: types, functions, exports, code.
ADD = bytes.fromhex(
    "0061736d01000000 010701 60027f7f017f 03020100 0707010361646400 00 0a0901070020002001 6a0b"
)
MANIFEST = """
schema = 1

[component]
name = "local/adder"
version = "1.0.0"

[build]
language = "c"
command = '{command}'
world = "adder"
"""
WORLD = "package local:adder;\n\nworld adder {\n    export add: func(a: u32, b: u32) -> u32;\n}\n"


@pytest.fixture
def adder(tmp_path):
    """A project with a command."""

    def made(command, world=WORLD):
        folder = tmp_path / "a project"
        (folder / "wit").mkdir(parents=True)
        (folder / "wit" / "world.wit").write_text(world)
        (folder / "Component.toml").write_text(MANIFEST.format(command=command))
        (folder / "add.core").write_bytes(ADD)
        return folder

    return made


def test_a_core_module_becomes_a_component(adder):
    folder = adder('cp add.core "$AIRSSYS_OUTPUT"')
    built = build(folder)
    assert built.changed
    assert not build(folder).changed
    with component_under_test(built.component) as component:
        assert component.call("add", 2, 3) == 5


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("exit 3", "`exit 3` failed"),
        ("true", r'`true` made no component; it is to write the file that "\$AIRSSYS_OUTPUT"'),
        ('echo text > "$AIRSSYS_OUTPUT"', "is no WebAssembly"),
    ],
)
def test_a_command_that_makes_nothing_of_use_is_told(adder, command, told):
    with pytest.raises(BuildFailed, match=told):
        build(adder(command))


def test_a_module_that_does_not_fit_the_world_is_told(adder):
    world = WORLD.replace("add:", "subtract:")
    with pytest.raises(BuildFailed, match=r"does not fit the world adder: .*subtract"):
        build(adder('cp add.core "$AIRSSYS_OUTPUT"', world))
