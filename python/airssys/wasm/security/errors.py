"""What can go wrong with grants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys.wasm.host_errors import HostError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airssys.wasm.security.grant import Grant

__all__ = ["ApprovalNeeded", "UnknownApproval", "UnknownGrant"]


class ApprovalNeeded(HostError):
    """A component asks for more than its deployment was granted, and nobody approved it."""

    default_code = "approval-needed"

    def __init__(self, deployment: str, places: Sequence[str]) -> None:
        super().__init__(
            f"'{deployment}' would ask for what it is not granted: {', '.join(places)}",
            hint="--grant requested grants it, --grant none deploys it without",
            deployment=deployment,
            places=list(places),
        )


class UnknownApproval(HostError, LookupError):
    """No question of this number waits for an answer."""

    default_code = "unknown-approval"

    def __init__(self, number: int, pending: Sequence[int]) -> None:
        there = ", ".join(map(str, pending)) or "nothing"
        super().__init__(
            f"no access with number {number} waits for a person",
            hint=f"what waits now: {there}; it may have been answered, or its time is over",
            number=number,
        )


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
