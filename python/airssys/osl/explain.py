"""Which rule would decide."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airssys.osl.errors import InvalidAccess
from airssys.osl.operation import Operation, Permission

if TYPE_CHECKING:
    from airssys.osl._native import Gate, Subject

__all__ = ["Explained", "explain", "explain_access"]


@dataclass(frozen=True, slots=True)
class Explained:
    """How one access would be decided.

    Attributes:
        permission: The access in the words of records, its target resolved and normalised.
        effect: `allow`, `deny` or `ask`.
        rule: Name of the rule that decides, or `default-deny`, `reserved-object`, ….
        reason: The same in words.
        position: Where the rule was written, `file:line`.
        considered: Rules that speak about the principal and the target, as (name, effect, verdict).
    """

    permission: Permission
    effect: str
    rule: str
    reason: str
    position: str | None
    considered: tuple[tuple[str, str, str], ...]


def explain(gate: Gate, subject: Subject, operation: Operation[object]) -> tuple[Explained, ...]:
    """Return an explanation for each permission that the operation needs."""
    explained = []
    for permission in operation.permissions():
        if permission.kind == "filesystem":
            target = os.path.realpath(permission.target)
            permission = Permission(permission.kind, permission.access, target)  # noqa: PLW2901
        explained.append(explain_access(gate, subject, permission))
    return tuple(explained)


def explain_access(
    gate: Gate, subject: Subject, permission: Permission, *, address: str | None = None
) -> Explained:
    """Say how one access to a resolved target would be decided.

    Args:
        gate: Its rules decide.
        subject: For whom.
        permission: What, on the resolved target.
        address: What a host name led to; without it, rules for names cannot be told.

    Raises:
        InvalidAccess: There is no such access, or the target is none.
    """
    try:
        answer = gate.explain(
            subject, permission.kind, permission.access, permission.target, address=address
        )
    except ValueError as error:
        raise InvalidAccess(str(error), access=str(permission)) from None
    return Explained(
        Permission(permission.kind, answer.access, answer.target),
        answer.effect,
        answer.rule,
        answer.reason,
        answer.position,
        tuple(answer.matched),
    )
