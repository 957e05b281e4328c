"""Policy files: TOML, with errors that name the line."""

from __future__ import annotations

import os
import re
import tomllib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from airssys.osl.errors import PolicyError
from airssys.osl.policy.locate import Location, locate
from airssys.osl.policy.model import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LoadedPolicy", "load_policy", "parse_policy"]

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*(rule|acl|role)[ \t]*\]\]", re.MULTILINE)


class LoadedPolicy(NamedTuple):
    """A policy and where its parts were written."""

    policy: Policy
    positions: Mapping[tuple[str, int], str]


def load_policy(path: str | os.PathLike[str]) -> LoadedPolicy:
    """Read one policy file.

    Raises:
        PolicyError: The file is not UTF-8, not TOML, or does not have the fields of a policy; the
            message begins with `file:line`.
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read()
    name = os.fspath(path)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _problem(name, line, "the file is not UTF-8; save it as UTF-8") from error
    return parse_policy(text, name)


def parse_policy(text: str, name: str = "policy") -> LoadedPolicy:
    """Parse the text of a policy; `name` stands for it in errors and positions.

    Raises:
        PolicyError: As `load_policy` says.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(text, name, str(error)) from error
    except RecursionError as error:
        raise _problem(name, 1, "values are nested too deeply; expected a flat policy") from error
    try:
        policy = msgspec.convert(document, Policy)
    except msgspec.ValidationError as error:
        raise _invalid(text, name, str(error)) from error
    return LoadedPolicy(policy, _positions(text, name))


def _positions(text: str, name: str) -> dict[tuple[str, int], str]:
    if '"""' in text or "'''" in text:
        return {
            (str(where[0]), where[1]): f"{name}:{line}"
            for where, line in locate(text).items()
            if len(where) == 2 and isinstance(where[1], int)
        }
    # Without strings of several lines a header can only be a header.
    counts: dict[str, int] = {}
    positions: dict[tuple[str, int], str] = {}
    line = 1
    end = 0
    for match in _HEADER.finditer(text):
        line += text.count("\n", end, match.start())
        end = match.start()
        table = match[1]
        number = counts.get(table, 0)
        counts[table] = number + 1
        positions[table, number] = f"{name}:{line}"
    return positions


def _problem(name: str, line: int, problem: str, column: int | None = None) -> PolicyError:
    where = f"{name}:{line}" if column is None else f"{name}:{line}:{column}"
    return PolicyError(f"{where}: {problem}", file=name, line=line, column=column)


def _syntax(text: str, name: str, message: str) -> PolicyError:
    match = re.search(r"\(at line (\d+), column (\d+)\)", message)
    problem = re.sub(r" \(at .*\)$", "", message)
    if match:
        return _problem(name, int(match[1]), problem, int(match[2]))
    return _problem(name, text.count("\n") + 1, problem)


def _invalid(text: str, name: str, message: str) -> PolicyError:
    problem, _, path = message.partition(" - at `$")
    where = _where(path.rstrip("`"))
    lines = locate(text)
    unknown = re.search(r"unknown field `([^`]+)`", problem)
    if unknown:
        where = (*where, unknown[1])
    shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
    while where and where not in lines:
        where = where[:-1]
    return _problem(name, lines.get(where, 1), f"{problem} at {shown.lstrip('.') or 'the top'}")


def _where(path: str) -> Location:
    return tuple(
        match[1] if match[1] is not None else int(match[2])
        for match in _STEP.finditer(path)
        if match[2] != "..."
    )
