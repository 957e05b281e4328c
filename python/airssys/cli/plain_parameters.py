"""Parameters that are taken as they are typed.

Typer has pydantic convert the value of every parameter. Loading it is a third of what a small
command takes, and most values need no conversion: texts, paths, counts, and what was not given.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typer._click import Command, Context

__all__ = ["HELP", "take_plainly"]

#: What asks for help, of every command.
HELP: Final = ["-h", "--help"]


class _AsTyped:
    """Stands before a parameter's own conversion, and leaves to it what needs one.

    Args:
        parameter: The parameter.
        kind: What its values are, each for itself where it takes several.
    """

    def __init__(self, parameter: Any, kind: type | None) -> None:
        self._parameter = parameter
        self._kind = kind

    def coerce(self, value: Any, param: Any, ctx: Context) -> Any:
        """Return the value that the command gets."""
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        if self._kind is not None:
            if not several and self._plain(value):
                return self._kind(value)
            if several and isinstance(value, (list, tuple)) and all(map(self._plain, value)):
                return [self._kind(each) for each in value]
        self._parameter._runtime_param = None  # noqa: SLF001 - as below
        return self._parameter.get_runtime_param().coerce(value, param=param, ctx=ctx)

    def _plain(self, value: object) -> bool:
        if isinstance(value, str):
            return self._kind is not int or (value.isascii() and value.isdecimal())
        return self._kind is not None and isinstance(value, self._kind)


def take_plainly(command: Command, *, below: bool = True) -> None:
    """Have a command load pydantic only for values that it has to convert.

    Args:
        command: The command.
        below: The commands of a group too.
    """
    asked = typer.Context(command, help_option_names=HELP)
    for parameter in command.get_params(asked):
        # No public place of typer's is between a value and its conversion. Where a version has
        # this one no more, it converts everything itself, as it would without this module.
        if getattr(parameter, "_runtime_param", ...) is None:
            kind = _kind(getattr(parameter, "type_descriptor", None))
            parameter._runtime_param = _AsTyped(parameter, kind)  # type: ignore[attr-defined]  # noqa: SLF001
    if below:
        commands: Iterable[Command] = getattr(command, "commands", {}).values()
        for each in commands:
            take_plainly(each)


def _kind(described: Any) -> type | None:
    """Return what a text is made for a parameter; None where typer has to know more of it."""
    given = getattr(described, "parameter_info", None)
    annotation = getattr(described, "annotation", None)
    if given is None or given.parser is not None:
        return None
    if get_origin(annotation) is list:
        (annotation,) = get_args(annotation)
    if annotation is str or (annotation is int and given.min is given.max is None):
        return annotation
    checked = ("exists", "resolve_path", "allow_dash", "path_type", "writable")
    if annotation is Path and not any(getattr(given, each, True) for each in checked):
        return Path
    return None
