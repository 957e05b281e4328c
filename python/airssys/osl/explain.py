"""Which rule would decide."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airssys.osl.operation import Operation, Permission

if TYPE_CHECKING:
    from airssys.osl._native import Gate, Subject

__all__ = ["Explained"]


@dataclass(frozen=True, slots=True)
class Explained:
    """How one access would be decided.

    Attributes:
        permission: The access, its target resolved.
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
        target = permission.target
        if permission.kind == "filesystem":
            target = os.path.realpath(target)
        answer = gate.explain(subject, permission.kind, permission.access, target)
        explained.append(
            Explained(
                Permission(permission.kind, permission.access, target),
                answer.effect,
                answer.rule,
                answer.reason,
                answer.position,
                tuple(answer.matched),
            )
        )
    return tuple(explained)
