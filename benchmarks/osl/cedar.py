"""The peer: the same decision by Cedar, through cedarpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.row import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def cedar_decision(patterns: Sequence[str], target: str) -> Callable[[int], None]:
    """Return a function that decides so many times whether alice may read `target`.

    Args:
        patterns: What she may read, each by a policy of its own; `*` stands for any characters.
        target: What she may read by one more, the last.
    """
    try:
        import cedarpy  # noqa: PLC0415 - the peer is optional
    except ImportError as error:
        raise UnavailableError("cedarpy is not installed; make setup") from error
    policies = "\n".join(
        'permit(principal == User::"alice", action == Action::"read", resource) when '
        + (
            f'{{ resource.path like "{pattern}" }};'
            if "*" in pattern
            else f'{{ resource.path == "{pattern}" }};'
        )
        for pattern in [*patterns, target]
    )
    entities = [
        {"uid": {"type": "User", "id": "alice"}, "attrs": {}, "parents": []},
        {"uid": {"type": "File", "id": "it"}, "attrs": {"path": target}, "parents": []},
    ]
    request = {
        "principal": 'User::"alice"',
        "action": 'Action::"read"',
        "resource": 'File::"it"',
        "context": {},
    }
    answer = cedarpy.is_authorized(request, policies, entities)
    assert answer.allowed, answer

    def decide(turns: int) -> None:
        for _ in range(turns):
            cedarpy.is_authorized(request, policies, entities)

    return decide
