"""The contract of actors names, under each promise, the tests that hold it for each kind."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "docs/concepts/runtime-semantics.md"


def found_tests() -> set[tuple[int, str, str]]:
    """Number of the promise, kind, and name of every test that is named after a promise."""
    found: set[tuple[int, str, str]] = set()
    paths = [
        *ROOT.glob("tests/semantics/test_*.py"),
        *ROOT.glob("tests/unit/rt/test_semantics*.py"),
    ]
    for path in paths:
        for node in ast.parse(path.read_text()).body:
            match = re.match(r"test_(\d\d)_", getattr(node, "name", ""))
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or match is None:
                continue
            arguments = {argument.arg for argument in node.args.args}
            kind = "Python actors" if "unit" in path.parts else "both kinds"
            found.add(
                (int(match[1]), "components" if "components" in arguments else kind, node.name)
            )
    return found


def named_tests() -> set[tuple[int, str, str]]:
    named: set[tuple[int, str, str]] = set()
    for part in re.split(r"(?m)^(?=### \d+\. )", CONTRACT.read_text())[1:]:
        number = int(part.split(maxsplit=2)[1].rstrip("."))
        for kind, names in re.findall(r"(?ms)^Held for ([\w ]+?) by (.*?)(?:\n\n|\Z)", part):
            named |= {(number, kind, name) for name in re.findall(r"`(test_\d\d_\w+)`", names)}
    return named


def test_every_promise_names_the_tests_that_hold_it() -> None:
    found = found_tests()
    assert {number for number, _, _ in found} == set(range(1, 26))
    assert named_tests() == found
