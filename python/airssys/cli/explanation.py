"""How a decision is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys.cli.output import print_json, print_text

if TYPE_CHECKING:
    from airssys.osl.explain import Explained

__all__ = ["print_explanation"]

_WORDS = {"allow": "allowed", "deny": "denied", "ask": "left to a person"}


def print_explanation(
    name: str,
    explained: Explained,
    *,
    needed: str | None,
    seen: str | None = None,
    as_json: bool,
) -> None:
    """Print the answer, the rule that gives it, what else was looked at, and what would be needed.

    Args:
        name: Who wants the access.
        explained: What was decided.
        needed: What one would have to write for it to be allowed, if that is what is missing.
        seen: What a component calls the target, where that is not its name.
        as_json: Print one JSON object.
    """
    permission = explained.permission
    if as_json:
        print_json(
            {
                "principal": name,
                "kind": permission.kind,
                "access": permission.access,
                "target": permission.target,
                "seen": seen,
                "effect": explained.effect,
                "rule": explained.rule,
                "position": explained.position,
                "reason": explained.reason,
                "considered": [
                    {"rule": rule, "effect": effect, "verdict": verdict}
                    for rule, effect, verdict in explained.considered
                ],
                "needed": needed,
            }
        )
        return
    called = f" (which it sees as {seen})" if seen not in {None, permission.target} else ""
    print_text(f"{_WORDS[explained.effect]}: {name} {permission}{called}")
    where = f" at {explained.position}" if explained.position not in {None, explained.rule} else ""
    reason = f" ({explained.reason})" if explained.reason else ""
    print_text(f"  by {explained.rule}{where}{reason}")
    for rule, effect, verdict in explained.considered:
        if rule != explained.rule:
            print_text(f"  considered: {rule} ({effect}): {verdict}")
    if needed:
        print_text("needed:\n" + "\n".join(f"  {line}" for line in needed.splitlines()))
