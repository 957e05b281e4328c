"""What can go wrong with grants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys.wasm.host_errors import HostError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airssys.wasm.security.grant import Grant

__all__ = ["UnknownGrant"]


class UnknownGrant(HostError, LookupError):
    """A deployment has no grant of this id, or not any more."""

    default_code = "unknown-grant"

    def __init__(self, deployment: str, number: int, held: Sequence[Grant]) -> None:
        there = ", ".join(f"{grant.id} ({grant})" for grant in held) or "none"
        super().__init__(
            f"deployment '{deployment}' has no grant {number}",
            hint=f"it has {there}",
            deployment=deployment,
            grant=number,
        )
