"""Locks against changes, of a deployment or of the whole host, and the switch that stops guests."""

# pyright: reportPrivateUsage=false
# The table stands in the registry's database.

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Final

from airssys.wasm.delivery.errors import DeploymentLocked

if TYPE_CHECKING:
    from airssys.wasm.registry import Registry

__all__ = ["FROZEN", "KILLED", "Lock", "Locks"]

#: The scope of a lock against every change.
FROZEN: Final = "*"
#: The scope of the switch that stops every guest.
KILLED: Final = "!"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What keeps a deployment, or the host, from being changed or run.

    Attributes:
        scope: A deployment; `*` for all; `!` where every guest was stopped.
        who: Who set it.
        at: When, in UTC.
        why: The reason.
    """

    scope: str
    who: str
    at: dt.datetime
    why: str


class Locks:
    """Locks in the database of a state directory; they outlive the host. Safe for several threads.

    Args:
        registry: The open registry of the state directory.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def set(self, scope: str, *, who: str, why: str) -> Lock:
        """Lock something durably; a lock that is there is replaced.

        Raises:
            StateWriteFailed: It could not be recorded; nothing has changed.
        """
        at = dt.datetime.now(dt.UTC)
        with self._registry._writing("record the lock") as connection:  # noqa: SLF001
            connection.execute(
                "INSERT OR REPLACE INTO locks (scope, who, at, why) VALUES (?, ?, ?, ?)",
                (scope, who, at.timestamp(), why),
            )
        return Lock(scope=scope, who=who, at=at, why=why)

    def clear(self, scope: str) -> bool:
        """Take a lock away; says whether there was one.

        Raises:
            StateWriteFailed: It could not be recorded; nothing has changed.
        """
        with self._registry._writing("take the lock away") as connection:  # noqa: SLF001
            return connection.execute("DELETE FROM locks WHERE scope = ?", (scope,)).rowcount > 0

    def all(self) -> tuple[Lock, ...]:
        """Return the locks there are, by scope."""
        rows = self._registry._read("SELECT scope, who, at, why FROM locks ORDER BY scope")  # noqa: SLF001
        return tuple(
            Lock(scope=scope, who=who, at=dt.datetime.fromtimestamp(at, dt.UTC), why=why)
            for scope, who, at, why in rows
        )

    def find(self, *scopes: str) -> Lock | None:
        """Return the first lock of one of these scopes."""
        return next((each for each in self.all() if each.scope in scopes), None)

    def check(self, name: str) -> None:
        """Refuse to change a deployment that is locked.

        Raises:
            DeploymentLocked: It is, or the host is; the message says by whom and why.
        """
        found = self.find(KILLED, FROZEN, name)
        if found is None:
            return
        what = "every guest of the host was stopped" if found.scope == KILLED else None
        what = what or ("the host is frozen" if found.scope == FROZEN else f"'{name}' is locked")
        raise DeploymentLocked(
            f"{what} by {found.who}: {found.why or 'no reason given'}",
            hint={KILLED: "revive() it", FROZEN: "thaw() it"}.get(found.scope, "unlock() it"),
            name=name,
            scope=found.scope,
        )
