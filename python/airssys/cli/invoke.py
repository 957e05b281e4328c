"""Calling one function from the command line, in WAVE: `add(2, 3)`."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, Any

from typer import BadParameter

from airssys.cli.exit_codes import ExitCode
from airssys.cli.output import print_error, print_json, print_text
from airssys.wasm.values import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.wasm.component import Component

__all__ = ["invoke"]


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
    if as_json:
        print_json({"wave": wave, "error" if failed else "value": _plain(value)})
    elif wave is not None:
        print_text(wave)
    if failed:
        print_error(f"'{path}' returned the error of its result")
        return ExitCode.GUEST
    return ExitCode.SUCCESS


def _plain(value: object) -> object:
    """Return what JSON has for a value: bytes are base64, a variant is `{case: payload}`."""
    if isinstance(value, enum.Flag):
        return [flag.name for flag in value]
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if (case := getattr(value, "__wit_case__", None)) is not None:
        return {case: _plain(getattr(value, "value", None))}
    if dataclasses.is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    plain = value is None or isinstance(value, (bool, int, float, str, bytes))
    return value if plain else str(value)
