"""The `airssys` command: its commands, and what it does with their failures."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import Abort, TyperException

from airssys.cli.commands import Commands
from airssys.cli.configuration import use_server
from airssys.cli.exit_codes import ExitCode, exit_code_of
from airssys.cli.output import errors_as_json, print_error
from airssys.cli.plain_parameters import HELP, take_plainly
from airssys.errors import AirsSysError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "main"]

_CODES = "\n\n".join(
    f"`{code.value}` {text}"
    for code, text in (
        (ExitCode.SUCCESS, "success"),
        (ExitCode.FAILURE, "refused or failed"),
        (ExitCode.USAGE, "wrong usage or configuration"),
        (ExitCode.NOT_FOUND, "no such deployment, revision, function or file"),
        (ExitCode.STATE, "the state directory cannot be used"),
        (ExitCode.GUEST, "the guest trapped, hit a limit or returned an error"),
        (ExitCode.INTERRUPTED, "interrupted"),
    )
)


class _Interrupted(Exception):
    """Ctrl-C, on its way past typer, which would end the process without a word."""


class _ReaderGone(Exception):
    """Whoever read our output has gone, on its way past typer, which would call that a failure."""


class _Commands(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Commands()  # type: ignore[assignment]  # nobody adds to them

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        take_plainly(self, below=False)
        return super().parse_args(ctx, args)

    def invoke(self, context: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            raise _Interrupted from None
        except BrokenPipeError:
            raise _ReaderGone from None


app = typer.Typer(
    name="airssys",
    cls=_Commands,
    help="Run WebAssembly components as supervised, replaceable, capability-checked plug-ins.",
    epilog=(
        f"Exit codes:\n\n{_CODES}\n\nWith `--json` an error is one line of JSON on stderr: "
        '`{"error": {"code": …, "message": …, "hint": …, "notes": […]}}`.'
    ),
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from airssys.wasm import build_info  # noqa: PLC0415 - only this needs the native module

        typer.echo(f"airssys {build_info()['version']}")
        raise typer.Exit


@app.callback()
def _airssys(
    *,
    version: Annotated[  # noqa: ARG001 - its callback has done it
        bool,
        typer.Option(
            "--version", help="Print the version and end.", is_eager=True, callback=_print_version
        ),
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="ADDRESS",
            help="Ask the server there, with the token in AIRSSYS_TOKEN: unix:PATH, "
            "https://HOST:PORT [env: AIRSSYS_SERVER]. By default the one that serves the state "
            "directory, if any does.",
        ),
    ] = None,
) -> None:
    use_server(server)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with the exit code that `ExitCode` explains.

    Args:
        arguments: The arguments after the program's name; those of the process by default.
    """
    try:
        code = _run(arguments)
    finally:
        use_server(None)  # said of this command line alone
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Also of a command line that cannot be read; what follows `--` is somebody else's.
    errors_as_json("--json" in given[: given.index("--") if "--" in given else None])
    try:
        code = app(arguments, prog_name="airssys", standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        if message := error.format_message():  # none where the help was printed instead
            asked = getattr(error, "ctx", None)
            command = "airssys" if asked is None else asked.command_path
            print_error(message, f"`{command} --help` explains", code="usage")
        return ExitCode.USAGE
    except (_Interrupted, KeyboardInterrupt, Abort):
        print_error("interrupted", code="interrupted")
        return ExitCode.INTERRUPTED
    except (_ReaderGone, BrokenPipeError):
        # The reader of our output has gone (`airssys list | head`): nothing is wrong here. What is
        # still buffered has nowhere to go at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.SUCCESS
    except AirsSysError as error:
        print_error(
            getattr(error, "summary", error.message),
            getattr(error, "hint", ""),
            notes=getattr(error, "__notes__", ()),
            code=error.code,
        )
        return exit_code_of(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print_error(f"{where}{error.strerror or error}", code="system")
        return exit_code_of(error)
    return code if isinstance(code, int) else ExitCode.SUCCESS
