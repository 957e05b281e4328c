"""The documents and examples of the actor runtime do what they say.

The Python blocks of a document make one program. It has to exit with 0 and print what the `text`
blocks of the document show; a document that has tests in it is run by pytest.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import airssys.rt

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "docs/concepts/runtime-semantics.md"
DOCUMENTS = sorted(
    [CONTRACT, *ROOT.glob("docs/tutorials/rt*.md"), *ROOT.glob("docs/guides/rt*.md")]
)
EXAMPLES = sorted((ROOT / "examples/rt").glob("*.py"))


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$", document.read_text(), re.DOTALL | re.MULTILINE
    )


def run(*arguments: str | Path, directory: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "python")}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_there_is_something_to_check() -> None:
    assert len(EXAMPLES) >= 7
    assert len(DOCUMENTS) >= 8


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_ends_by_itself(example: Path, tmp_path: Path) -> None:
    done = run(example, directory=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_the_code_of_a_document_runs(document: Path, tmp_path: Path) -> None:
    code = blocks(document, "python")
    if not code:
        assert document == CONTRACT, f"{document} shows no code"
        return
    program = tmp_path / "test_document.py"
    program.write_text("\n\n".join(code))
    tests = re.search(r"^(async )?def test_", program.read_text(), re.MULTILINE)
    if tests:
        entry_point = "airssys" in {
            point.name for point in importlib.metadata.entry_points(group="pytest11")
        }
        plugin = [] if entry_point else ["-p", "airssys.testing.plugin"]
        done = run("-m", "pytest", "-q", *plugin, program, directory=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return
    done = run(program, directory=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(blocks(document, "text")), done.stderr


def test_the_contract_names_tests_that_exist() -> None:
    text = CONTRACT.read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    existing = {
        name
        for path in (*ROOT.glob("tests/*/rt/test_*.py"), *ROOT.glob("tests/semantics/test_*.py"))
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert named <= existing
    promised = {name for name in existing if re.match(r"test_\d\d_", name)}
    assert promised <= named
    numbers = re.findall(r"^### (\d+)\. ", text, re.MULTILINE)
    assert numbers == [str(number) for number in range(1, 26)]
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        assert "`test_" in part, part


def test_the_references_are_those_of_the_code() -> None:
    specification = importlib.util.spec_from_file_location("reference", ROOT / "tools/reference.py")
    assert specification is not None
    assert specification.loader is not None
    tool = sys.modules["reference"] = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tool)
    for page in tool.PAGES:
        text = page.target.read_text()
        assert text == tool.render(page), "run: python tools/reference.py"
        headings = set(re.findall(r"^### `(\w+)", text, re.MULTILINE))
        assert headings == set(importlib.import_module(page.module).__all__)


def test_every_public_name_says_what_it_is() -> None:
    for name in airssys.rt.__all__:
        value = getattr(airssys.rt, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, name
