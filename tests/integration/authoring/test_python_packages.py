"""`requirements.txt` of a project in Python: what it names is in the component, but native code."""

from __future__ import annotations

import zipfile

import pytest

from airssys.authoring import BuildFailed, build
from airssys.testing.components import component_under_test

APP = """
import wit_world
from loud import shout


class WitWorld(wit_world.WitWorld):
    def greet(self, name: str) -> str:
        return shout(name)
"""

pytestmark = pytest.mark.timeout(600)


def wheel(folder, files):
    """A wheel of a package `loud`; with the same times always, so that a build of it is kept."""
    path = folder / "loud-1.0-py3-none-any.whl"
    files = {
        **files,
        "loud-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n",
        "loud-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
        "loud-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return path


def test_a_package_is_in_the_component_and_its_native_code_is_not(project):
    folder = project("python")
    code = "try:\n    from loud import _fast\nexcept ImportError:\n    _fast = None\n"
    code += "def shout(text):\n    return text.upper() + ('!' if _fast is None else '?')\n"
    made = wheel(folder, {"loud/__init__.py": code, "loud/_fast.so": "native"})
    (folder / "requirements.txt").write_text(f"./{made.name}\n")
    (folder / "app.py").write_text(APP)
    with component_under_test(build(folder).component) as component:
        assert component.call("greet", "ada") == "ADA!"


def test_a_package_that_is_native_code_alone_is_named(project):
    folder = project("python")
    made = wheel(
        folder, {"loud/__init__.py": "from loud._fast import shout\n", "loud/_fast.so": ""}
    )
    (folder / "requirements.txt").write_text(f"./{made.name}\n")
    (folder / "app.py").write_text(APP)
    with pytest.raises(BuildFailed, match="native code, which no component runs: loud"):
        build(folder)


def test_a_package_that_cannot_be_had_is_named(project):
    folder = project("python")
    (folder / "requirements.txt").write_text("./nowhere-1.0-py3-none-any.whl\n")
    with pytest.raises(BuildFailed, match=r"requirements\.txt could not be installed") as caught:
        build(folder)
    assert "nowhere" in "".join(caught.value.__notes__)
