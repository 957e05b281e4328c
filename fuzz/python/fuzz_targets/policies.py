"""Policy files."""

from __future__ import annotations

from airssys.errors import AirsSysError
from airssys.osl._native import Gate, typed
from airssys.osl.errors import PolicyError
from airssys.osl.policy.compile import describe_policy, document
from airssys.osl.policy.load import parse_policy


def policy(data: bytes) -> None:
    """Read a policy and compile it for the gate, which refuses what it does not understand."""
    try:
        loaded = parse_policy(data.decode(errors="ignore"), "policy.toml")
        described = describe_policy(*loaded)
    except PolicyError as error:
        if "policy.toml:" not in error.message:
            raise AssertionError(f"no place in {error.message!r}") from error
        return
    try:
        Gate.check(document(described))
    except AirsSysError as error:
        if not isinstance(typed(error), PolicyError) or "policy.toml:" not in error.message:
            raise AssertionError(f"the gate refused without a place: {error.message!r}") from error
