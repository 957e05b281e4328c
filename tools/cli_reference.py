"""Write `docs/reference/cli.md` from the command line itself.

Usage: `python tools/cli_reference.py [--check]`.

Every command, argument and option is what `airssys --help` shows; what stands around them is here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main
from written_pages import write_or_check

from airssys.cli.exit_codes import ExitCode
from airssys.cli.main import app

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTPUT = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"
HIDDEN = {"--help", "--install-completion", "--show-completion"}

INTRODUCTION = """\
# Command line

`airssys` is installed with the package. Results go to standard output, everything else to standard
error; `--json` prints the result as JSON. A failed command prints `error:` with what is wrong and,
where there is one, `hint:` with the next step; with `--json` the last line of standard error is
`{"error": {"code": …, "message": …, "hint": …, "notes": […]}}`, whose codes are stable.
`airssys --install-completion` sets up completion for the shell, which completes the names of
deployments too. Calls (`add(2, 3)`) and results are written in WAVE, the text form of WIT values.

The state directory of a host is the first of: `--state`, the variable `AIRSSYS_STATE`,
`host.state` in the nearest `airssys.toml` at or above the working directory, `host.state` in the
user's `config.toml` (`~/.config/airssys/` on Linux), the user's state folder
(`~/.local/state/airssys` on Linux). A relative path in a file is relative to that file.

`airssys --server ADDRESS COMMAND`, or the variable `AIRSSYS_SERVER`, asks a server elsewhere, with
the token in `AIRSSYS_TOKEN`; then no state directory is looked at.

One process owns a state directory at a time. Where `airssys serve` does, the other commands go
through its socket, `control.sock` in the directory. Where nobody does, `deploy`, `rollback`,
`call`, `remove`, `send` and `ask` open it themselves; they are refused while a program has it open
that does not serve it. Of these only `deploy` makes one where there is none. `list` and `history`
only read and always work.

This page is written by `tools/cli_reference.py` from the commands themselves.
"""

CODES = {
    ExitCode.SUCCESS: "success",
    ExitCode.FAILURE: "the operation was refused or failed; the message says why",
    ExitCode.USAGE: "wrong usage or configuration",
    ExitCode.NOT_FOUND: "no deployment, revision, function or file of that name",
    ExitCode.STATE: "the state directory is in use, full, not writable, damaged or too new",
    ExitCode.GUEST: "the guest trapped, hit a limit, or returned an error",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}


def page() -> str:
    """Compose the page."""
    group: Any = typer.main.get_command(app)
    lines = [INTRODUCTION, "## Exit codes", "", "| code | meaning |", "| --- | --- |"]
    lines += [f"| {code.value} | {CODES[code]} |" for code in ExitCode]
    lines += [
        "",
        "`airssys run` passes on the guest's own code, and ends with 134 where the guest trapped",
        "or reached a limit. A program for WASI 0.2 knows two codes of its own: 0 and 1.",
        "",
    ]
    for name, command in _commands("airssys", group):
        lines += _section(name, command)
    return "\n".join(lines).rstrip("\n") + "\n"


def _commands(name: str, group: Any) -> Iterator[tuple[str, Any]]:
    for own, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(f"{name} {own}", command)
        else:
            yield f"{name} {own}", command


def _section(name: str, command: Any) -> list[str]:
    shown = [each for each in command.params if not HIDDEN.intersection(each.opts)]
    arguments = [each for each in shown if each.param_type_name == "argument" and not each.hidden]
    options = [each for each in shown if each.param_type_name == "option"]
    usage = " ".join(
        [name, *(["[OPTIONS]"] if options else []), *(_placeholder(each) for each in arguments)]
    )
    lines = [f"## `{name}`", "", "```text", usage, "```", "", " ".join(command.help.split()), ""]
    if arguments or options:
        lines += ["| | | default |", "| --- | --- | --- |"]
        lines += [_row(f"`{_placeholder(each)}`", each) for each in arguments]
        lines += [_row(f"`{_spelling(each)}`", each) for each in options]
        lines.append("")
    return lines


def _placeholder(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _spelling(option: Any) -> str:
    spelling = ", ".join(option.opts)
    if option.is_flag:
        return spelling
    return f"{spelling} {option.metavar or option.name.upper()}"


def _row(spelling: str, parameter: Any) -> str:
    text = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
    if parameter.required:
        default = "required"
    elif parameter.default in (None, False, "") or parameter.multiple:
        default = ""
    elif callable(parameter.default):
        default = "computed"
    else:
        default = f"`{parameter.default}`"
    return f"| {spelling} | {text} | {default} |"


if __name__ == "__main__":
    sys.exit(write_or_check({OUTPUT: page()}, __doc__ or ""))
