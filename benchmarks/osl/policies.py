"""Policies of any size to measure with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def policy(count: int, home: Path) -> str:
    """Return a policy of `count` rules with globs, the last of which is what is asked for."""
    others = [
        f'[[rule]]\nname = "r{number}"\nto = ["user{number % 97}", "alice"]\naccess = ["read"]\n'
        f'target = ["/data/{number}/**/*.txt"]\n'
        for number in range(count - 1)
    ]
    own = f'[[rule]]\nname = "own"\nto = ["alice"]\naccess = ["*"]\ntarget = ["{home}/**"]\n'
    return "\n".join([*others, own])
