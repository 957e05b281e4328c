"""What another process than the host does: it writes, and sees when the host has taken it up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from airssys.wasm.state_lock import owner_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airssys.wasm.security.grant import Grant
    from airssys.wasm.security.grants import GrantRecords, Told

__all__ = ["Taken", "wait_until_taken"]

# A host looks several times a second; one that takes this long is stopped or overloaded.
_BOUND = 10.0
_INTERVAL = 0.05


class Taken(NamedTuple):
    """What became of a change.

    Attributes:
        host: The process that has the state directory open; None for no process.
        in_force: Whether it has put the change in force.
    """

    host: str | None
    in_force: bool


def wait_until_taken(
    directory: Path,
    records: GrantRecords,
    grants: Sequence[Grant],
    what: Told,
    *,
    bound: float = _BOUND,
) -> Taken:
    """Wait until the host, if one runs, has taken up that grants were made or revoked.

    Args:
        directory: The state directory.
        records: Its grants.
        grants: Those that changed.
        what: Whether they were made or revoked; or, once revoked, the instances replaced.
        bound: The most seconds.
    """
    host = owner_of(directory)
    end = time.monotonic() + bound
    while host is not None and time.monotonic() < end:
        if records.told([grant.id for grant in grants], what):
            return Taken(host, in_force=True)
        time.sleep(_INTERVAL)
        host = owner_of(directory)
    return Taken(host, in_force=False)
