"""Policy files: TOML, with errors that name the line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from airssys.osl.errors import PolicyError
from airssys.osl.policy.bulk import uncollected
from airssys.osl.policy.model import Policy
from airssys.osl.regular_file import read_regular
from airssys.osl.schema_file import Problem, check_toml, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LoadedPolicy", "load_policy", "parse_policy"]


# Bytes; far more rules than a gate is fast with.
_MOST: Final = 64 << 20


class LoadedPolicy(NamedTuple):
    """A policy and where its parts were written."""

    policy: Policy
    positions: Mapping[tuple[str, int], str]


def load_policy(path: str | os.PathLike[str]) -> LoadedPolicy:
    """Read one policy file.

    Raises:
        PolicyError: The file is not UTF-8, not TOML, or does not have the fields of a policy; the
            message begins with `file:line:column`.
        OSError: The file cannot be read.
    """
    name = os.fspath(path)
    try:
        text = read_text(read_regular(path, _MOST), name)
    except Problem as problem:
        raise problem.as_error(PolicyError) from problem.__cause__
    return parse_policy(text, name)


@uncollected()
def parse_policy(text: str, name: str = "policy") -> LoadedPolicy:
    """Parse the text of a policy; `name` stands for it in errors and positions.

    Raises:
        PolicyError: As `load_policy` says.
    """
    try:
        policy, lines = check_toml(text, name, Policy)
    except Problem as problem:
        raise problem.as_error(PolicyError) from problem.__cause__
    positions = {
        (table, number): f"{name}:{line}"
        for table, starts in lines.items()
        for number, line in enumerate(starts)
    }
    return LoadedPolicy(policy, positions)
