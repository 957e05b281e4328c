# ruff: noqa: PT028 - a command, not a test
"""The command `test`: a project's tests, in whatever language it is written."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path  # noqa: TC003 - typer looks at annotations
from typing import TYPE_CHECKING, Annotated

import typer

from airssys.authoring.build import build
from airssys.authoring.project import find_project
from airssys.cli.exit_codes import ExitCode
from airssys.cli.output import Json, print_error, print_json, print_note, print_text

if TYPE_CHECKING:
    from airssys.testing.tables import Outcome

__all__ = ["add_to"]

#: What pytest ends with when there was nothing to run.
_NO_TESTS = 5


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(test)


def test(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="A project; the one at or above here by default."),
    ] = None,
    *,
    as_json: Json = False,
) -> int:
    """Build a project where it has changed, and run its tests against the component.

    `tests/*.toml` are tables of calls and what comes of them; `tests/test_*.py` are run by pytest.
    """
    project = find_project(folder)
    built = build(project, say=print_note)
    tests = project / "tests"
    tables = sorted(tests.glob("*.toml"))
    outcomes = []
    if tables:
        from airssys.testing.tables import run_cases  # noqa: PLC0415 - starts a host

        for table in tables:
            for outcome in run_cases(table, built.component):
                outcomes.append(outcome)
                if not as_json:
                    print_text(_line(outcome, project))
    failed = sum(bool(outcome.problem) for outcome in outcomes)
    status, output = _python_tests(tests, quiet=as_json)
    if as_json:
        cases = [dataclasses.asdict(outcome) for outcome in outcomes]
        print_json({"cases": cases, "failed": failed, "pytest": status, "output": output})
    else:
        print_note(f"{len(outcomes) - failed} of {len(outcomes)} cases passed")
        if status not in (None, 0):
            print_error("tests in Python failed; pytest's words are above")
    return ExitCode.FAILURE if failed or status not in (None, 0) else ExitCode.SUCCESS


def _line(outcome: Outcome, project: Path) -> str:
    if not outcome.problem:
        return f"ok    {outcome.name}"
    where = os.path.relpath(outcome.file, project)
    return f"FAIL  {outcome.name} ({where}:{outcome.line})\n      {outcome.problem}"


def _python_tests(tests: Path, *, quiet: bool) -> tuple[int | None, str]:
    """Run `test_*.py` by pytest; its exit status, None where there is nothing to run."""
    if not any(tests.rglob("test_*.py")):
        return None, ""
    if importlib.util.find_spec("pytest") is None:
        print_note(f"{tests} has tests in Python, which need pytest: pip install pytest")
        return None, ""
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-m", "pytest", "-q", str(tests)],
        cwd=tests.parent,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        check=False,
        text=True,
    )
    return (None if done.returncode == _NO_TESTS else done.returncode), done.stdout or ""
