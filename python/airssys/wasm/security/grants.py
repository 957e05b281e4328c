"""The grants of deployments, in the database of the state directory."""

# pyright: reportPrivateUsage=false
# The table stands in the registry's database.

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from airssys.wasm.security.grant import Grant

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from airssys.wasm.registry import Registry

__all__ = ["Change", "GrantRecords", "Granting", "Told"]

_COLUMNS = "kind, access, target, more, who, at, why, until, place, act_as, caller"


class Granting(NamedTuple):
    """A capability that is about to be granted; see `Grant`."""

    kind: str
    access: tuple[str, ...]
    target: str
    more: Mapping[str, Any]
    place: str = ""


#: What the host has done about a grant: put it in force, taken it back; and where somebody waits
#: for that, it is to replace the instances, does so, or has.
Told = Literal["grant", "revoke", "replace", "replacing", "replaced"]

_REVOKED: Final = ("revoke", "replace", "replacing", "replaced")


class Change(NamedTuple):
    """A change of rights that the log does not have yet."""

    what: Literal["grant", "revoke"]
    grant: Grant
    who: str
    why: str


class GrantRecords:
    """What is granted to deployments, durable when a method returns. Safe for several threads.

    Args:
        registry: The open registry of the state directory.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def of(self, deployment: str, deployment_id: int) -> tuple[Grant, ...]:
        """Return the grants of a deployment that were not revoked, the oldest first."""
        rows = self._registry._read(  # noqa: SLF001
            f"SELECT id, {_COLUMNS} FROM grants"  # noqa: S608 - the text is this module's
            " WHERE deployment = ? AND revoked_at IS NULL ORDER BY id",
            deployment_id,
        )
        return tuple(_grant(deployment, deployment_id, row) for row in rows)

    def in_force(self, deployment: str, deployment_id: int) -> tuple[Grant, ...]:
        """Return the grants of a deployment that were not revoked and have not ended."""
        now = dt.datetime.now(dt.UTC)
        return tuple(
            grant
            for grant in self.of(deployment, deployment_id)
            if grant.until is None or grant.until > now
        )

    def of_all(self) -> dict[int, list[tuple[Any, ...]]]:
        """Return the grants of every deployment there is, by its id, to be read with `read`."""
        rows = self._registry._read(  # noqa: SLF001
            f"SELECT deployment, id, {_COLUMNS} FROM grants"  # noqa: S608 - as above
            " WHERE revoked_at IS NULL ORDER BY id"
        )
        found: dict[int, list[tuple[Any, ...]]] = {}
        for deployment_id, *row in rows:
            found.setdefault(deployment_id, []).append(tuple(row))
        return found

    @staticmethod
    def read(deployment: str, deployment_id: int, rows: Iterable[tuple[Any, ...]]) -> list[Grant]:
        """Return grants as `of_all` found them."""
        return [_grant(deployment, deployment_id, row) for row in rows]

    def add(
        self,
        deployment: str,
        deployment_id: int,
        capabilities: Sequence[Granting],
        *,
        who: str,
        why: str,
        until: dt.datetime | None = None,
        act_as: str | None = None,
        caller: str | None = None,
    ) -> tuple[Grant, ...]:
        """Record grants; all or none.

        Raises:
            StateWriteFailed: Nothing was recorded.
        """
        at = dt.datetime.now(dt.UTC).timestamp()
        end = None if until is None else until.timestamp()
        made = []
        with self._registry._writing("record the grant") as connection:  # noqa: SLF001
            for each in capabilities:
                row = (
                    each.kind,
                    _text(each.access),
                    each.target,
                    _text(each.more),
                    who,
                    at,
                    why,
                    end,
                    each.place,
                    act_as,
                    caller,
                )
                number = _insert(connection, deployment_id, row)
                made.append(_grant(deployment, deployment_id, (number, *row)))
        return tuple(made)

    def untold(self, deployments: Mapping[int, str]) -> list[Change]:
        """Return what was granted to and revoked from these and is not in the log, in order.

        Args:
            deployments: Names by id.
        """
        rows = self._registry._read(  # noqa: SLF001
            f"SELECT deployment, told, revoked_at, revoked_by, revoked_why, id, {_COLUMNS}"  # noqa: S608
            " FROM grants WHERE told = '' OR (revoked_at IS NOT NULL AND told = 'grant')"
            " ORDER BY id"
        )
        changes = []
        for deployment_id, told, revoked_at, revoked_by, revoked_why, *row in rows:
            name = deployments.get(deployment_id)
            if name is None:
                continue
            grant = _grant(name, deployment_id, tuple(row))
            if not told:
                changes.append(Change("grant", grant, grant.who, grant.why))
            if revoked_at is not None:
                changes.append(Change("revoke", grant, revoked_by, revoked_why))
        return changes

    def to_replace(self) -> dict[int, list[int]]:
        """Return the revoked grants whose deployments are to get fresh instances, by deployment."""
        found: dict[int, list[int]] = {}
        rows = self._registry._read(  # noqa: SLF001
            "SELECT deployment, id FROM grants WHERE told = 'replace'"
        )
        for deployment, number in rows:
            found.setdefault(deployment, []).append(number)
        return found

    def set_told(self, numbers: Iterable[int], what: Told) -> None:
        """Record what the host has done, or is to do.

        Raises:
            StateWriteFailed: Nothing was recorded.
        """
        with self._registry._writing("record what is in force") as connection:  # noqa: SLF001
            connection.executemany(
                "UPDATE grants SET told = ? WHERE id = ?", [(what, number) for number in numbers]
            )

    def told(self, numbers: Sequence[int], what: Told) -> bool:
        """Return whether the host has put these grants in force, taken them back, or replaced."""
        enough: tuple[Told, ...] = ("grant", *_REVOKED) if what == "grant" else _REVOKED
        if what == "replaced":
            enough = ("replaced",)
        rows = dict(self._registry._read("SELECT id, told FROM grants"))  # noqa: SLF001
        return all(rows.get(number) in enough for number in numbers)

    def revoke(self, grants: Sequence[Grant], *, who: str, why: str) -> None:
        """Record that grants are revoked; all or none. One that is revoked already stays so.

        Raises:
            StateWriteFailed: Nothing was recorded.
        """
        at = dt.datetime.now(dt.UTC).timestamp()
        with self._registry._writing("record the revocation") as connection:  # noqa: SLF001
            connection.executemany(
                "UPDATE grants SET revoked_at = ?, revoked_by = ?, revoked_why = ?"
                " WHERE id = ? AND revoked_at IS NULL",
                [(at, who, why, grant.id) for grant in grants],
            )


def _insert(connection: sqlite3.Connection, deployment_id: int, row: tuple[Any, ...]) -> int:
    (number,) = connection.execute(
        f"INSERT INTO grants (deployment, {_COLUMNS})"  # noqa: S608 - the text is this module's
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (deployment_id, *row),
    ).fetchone()
    return int(number)


def _text(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


def _grant(deployment: str, deployment_id: int, row: tuple[Any, ...]) -> Grant:
    number, kind, access, target, more, who, at, why, until, place, act_as, caller = row
    return Grant(
        id=number,
        deployment=deployment,
        deployment_id=deployment_id,
        kind=kind,
        access=tuple(msgspec.json.decode(access)),
        target=target,
        more=msgspec.json.decode(more),
        who=who,
        at=dt.datetime.fromtimestamp(at, dt.UTC),
        why=why,
        until=None if until is None else dt.datetime.fromtimestamp(until, dt.UTC),
        place=place,
        act_as=act_as,
        caller=caller,
    )
