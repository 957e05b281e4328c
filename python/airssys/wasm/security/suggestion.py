"""What a component that is learning used, as the request that covers it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airssys.osl import read_records
from airssys.wasm.security.capability_text import (
    Use,
    asking_for,
    capability_text,
    path_in_component,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airssys.wasm.revision import Revision
    from airssys.wasm.security.mounts import Mount

__all__ = ["suggestion", "uses_of"]

_PASSED = ("allow", "observed")


def suggestion(log: Path, deployment: str, revisions: Mapping[int, Revision]) -> str:
    """Return `[capabilities]` for all that a deployment used while it was learning.

    What was refused is never in it, and neither is what no mount shows.

    Args:
        log: Directory of the audit log.
        deployment: The name of the deployment.
        revisions: Its revisions by number; records of earlier deployments of the name have others,
            or are older.

    Raises:
        OslError: There is no log.
    """
    return capability_text(asking_for(uses_of(log, deployment, revisions)))


def uses_of(log: Path, deployment: str, revisions: Mapping[int, Revision]) -> list[Use]:
    """Return what a deployment used while it was learning, each access once."""
    since = min(revision.at.timestamp() for revision in revisions.values())
    used: dict[Use, None] = {}
    refused: set[Use] = set()
    for record in read_records(log, principal=deployment, since=since):
        if record.enforcement != "learn":
            continue
        revision = revisions.get(json.loads(record.raw).get("revision", 0))
        kind, _, access = record.operation.partition(".")
        use = _seen(
            Use(kind, access, record.target), {} if revision is None else revision.settings.mounts
        )
        if use is None:
            continue
        if record.decision in _PASSED:
            used[use] = None
        elif record.decision == "deny":
            refused.add(use)
    return [use for use in used if use not in refused]


def _seen(use: Use, mounts: Mapping[str, Mount]) -> Use | None:
    """Return an access in the words of the component."""
    if use.kind != "filesystem":
        return use
    path = path_in_component(use.target, mounts)
    return None if path is None else use._replace(target=path)
