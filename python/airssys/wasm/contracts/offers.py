"""Contracts among what callers give a host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airssys.wasm.contracts.contract import Contract, contract_of
from airssys.wasm.contracts.errors import InvalidContract

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["needed", "offered"]


def needed(given: object) -> Contract | None:
    """Return the contract that somebody gives; None for None.

    Raises:
        InvalidContract: It is something else.
    """
    if given is None:
        return None
    contract = contract_of(given)
    if contract is None:
        raise InvalidContract(
            f"{given!r} is no contract", hint='put @interface("namespace:package/name") before it'
        )
    return contract


def offered(provides: Mapping[Any, Any]) -> dict[str, Any]:
    """Return host functions by the names of their interfaces, those of contracts as well.

    Raises:
        InvalidContract: A class is no contract, or an object lacks one of its methods.
    """
    found: dict[str, Any] = {}
    for key, subject in provides.items():
        if isinstance(key, str):
            found[key] = subject
            continue
        contract = needed(key)
        assert contract is not None  # noqa: S101 - a key is not None
        found[contract.name] = contract.offered(subject)
    return found
