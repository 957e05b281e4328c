"""`airssys doctor`: is this machine fit, and what would make it fitter."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from airssys.cli.checks import Check, environment_checks, toolchain_checks
from airssys.cli.configuration import State, state_directory
from airssys.cli.exit_codes import ExitCode
from airssys.cli.output import Json, print_json, print_table
from airssys.wasm.host_errors import StateDirectoryError
from airssys.wasm.state_directory import open_registry

if TYPE_CHECKING:
    from pathlib import Path

    import typer

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(doctor)


def doctor(*, state: State = None, as_json: Json = False) -> int:
    """Check the interpreter, the kernel, the limits, the tools and the state directory.

    Ends with code 1 when something fails; warnings do not count.
    """
    checks = [*environment_checks(), *toolchain_checks(), _state(state_directory(state))]
    if as_json:
        print_json(checks)
    else:
        print_table(
            ("", "what", "found", "what to do"),
            ((check.status, check.name, check.found, check.remedy) for check in checks),
        )
    failed = any(check.status == "failure" for check in checks)
    return ExitCode.FAILURE if failed else ExitCode.SUCCESS


def _state(directory: Path) -> Check:
    name = "state directory"
    if not (directory / "airssys.db").exists():
        return Check(name, "ok", f"{directory} (made at the first deploy)")
    if not os.access(directory, os.W_OK):
        return Check(name, "failure", f"{directory} is not writable", "name another with --state")
    try:
        with contextlib.closing(open_registry(directory)) as registry:
            count = len(registry.deployments())
    except StateDirectoryError as error:
        return Check(name, "failure", error.summary, error.hint)
    return Check(name, "ok", f"{directory} with {count} deployments")
