"""Calling one function from the command line, in WAVE: `add(2, 3)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer import BadParameter

from airssys.cli.exit_codes import ExitCode
from airssys.cli.output import print_error, print_json, print_text
from airssys.wasm.plain_values import plain
from airssys.wasm.values import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.wasm.component import Component

__all__ = ["invoke", "report"]


def invoke(component: Component, text: str, call: Callable[..., Any], *, as_json: bool) -> ExitCode:
    """Call what `text` says and print what it returned.

    Args:
        component: Where the function is.
        text: The call: `add(2, 3)`.
        call: Calls a function by its path, with its arguments.
        as_json: Whether to print `{"wave": …, "value": …}`; the error of a result is under
            `"error"`.
    """
    try:
        path, arguments = component.parse_call(text)
    except ValueError as error:
        raise BadParameter(str(error)) from error
    try:
        value, failed = call(path, *arguments), False
    except GuestError as error:
        value, failed = error.value, True
    wave = component.print_result(path, value, error=failed)
    shown = plain(value)
    return report(path, wave, shown, shown, failed, as_json=as_json)


def report(
    path: str, wave: str | None, value: object, error: object, failed: bool, *, as_json: bool
) -> ExitCode:
    """Print what a function returned.

    Args:
        path: Of the function.
        wave: The result in WAVE; None for none.
        value: The result as JSON has it.
        error: The error of its `result`, likewise.
        failed: Whether it is an error.
        as_json: As for `invoke`.
    """
    if as_json:
        print_json({"wave": wave, "error": error} if failed else {"wave": wave, "value": value})
    elif wave is not None:
        print_text(wave)
    if failed:
        print_error(f"'{path}' returned the error of its result")
        return ExitCode.GUEST
    return ExitCode.SUCCESS
