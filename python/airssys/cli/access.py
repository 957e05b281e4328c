"""One access, as it is written on the command line."""

from __future__ import annotations

import os
from typing import Annotated, cast, get_args

import typer

from airssys.osl.operation import AnyKind, Permission

__all__ = ["KINDS", "AccessText", "read_access", "resolved"]

AccessText = Annotated[
    str,
    typer.Argument(metavar="ACCESS", help="A kind, an access and a target, in one argument."),
]


def _names(kinds: object) -> tuple[str, ...]:
    return tuple(name for part in get_args(kinds) for name in (get_args(part) or (part,)) if name)


#: The kinds of capability.
KINDS = _names(AnyKind)
_WITHOUT_TARGETS = ("clock", "random", "log")


def read_access(text: str) -> Permission:
    """Read `KIND ACCESS TARGET`; clocks, random numbers and the log have no target.

    Raises:
        BadParameter: It has other parts, or there is no such kind.
    """
    parts = text.split(maxsplit=2)
    if len(parts) == 2 and parts[0] in _WITHOUT_TARGETS:
        parts.append("")
    if len(parts) != 3:
        raise typer.BadParameter(
            f"{text!r}: expected a kind, an access and a target in one argument, such as "
            "'http GET https://example.com/v1' or 'filesystem read /data/x'",
            param_hint="ACCESS",
        )
    kind, access, target = parts
    if kind not in KINDS:
        raise typer.BadParameter(
            f"{kind!r} is no kind of access: expected one of {', '.join(KINDS)}",
            param_hint="ACCESS",
        )
    return Permission(cast("AnyKind", kind), access, target)


def resolved(permission: Permission) -> Permission:
    """Return the same access with a path of this machine made absolute, its links resolved."""
    if permission.kind != "filesystem":
        return permission
    return Permission(permission.kind, permission.access, os.path.realpath(permission.target))
