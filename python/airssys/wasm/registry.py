"""The registry: which deployments there are, and every revision they had."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import threading
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from airssys.wasm.durable import explained, sync_directory
from airssys.wasm.host_errors import (
    NothingToRollBackTo,
    StateDirectoryDamaged,
    UnknownDeployment,
    UnknownRevision,
)
from airssys.wasm.revision import (
    About,
    DeploymentRecord,
    Locked,
    NewRevision,
    Revision,
    RolloutRecord,
    Settings,
)
from airssys.wasm.schema import (
    connect,
    connect_beside,
    connect_read_only,
    copy_to,
    transaction,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Registry"]

_LIVE = "SELECT id, name, live, at FROM deployments WHERE removed_at IS NULL"
_REVISIONS = (
    "SELECT number, digest, size, settings, replaced, who, at, why, version, signer, about,"
    " dependencies, collected_at FROM revisions"
    " WHERE deployment = ?"
)


class Registry:
    """Deployments, revisions and rollouts in the database of a state directory.

    What a method returns is durable. Safe to use from several threads.

    Args:
        directory: The state directory. Its owner opens it to write.
        mode: `owner`; `read` to look only, whether or not somebody owns the directory; `beside` to
            write what its owner takes up: grants, revocations and answers.

    Raises:
        StateDirectoryTooNew: A newer version of AirsSys wrote the database.
        StateDirectoryDamaged: The database cannot be read as one of AirsSys.
        StateWriteFailed: It cannot be written.
    """

    def __init__(
        self, directory: Path, *, mode: Literal["owner", "read", "beside"] = "owner"
    ) -> None:
        self._directory = directory
        self._one_statement_sequence = threading.Lock()
        path = directory / "airssys.db"
        with explained("open the registry", directory):
            match mode:
                case "read":
                    self._connection = connect_read_only(path)
                case "beside":
                    self._connection = connect_beside(path)
                case "owner":
                    self._connection = connect(path)
                    sync_directory(directory)

    def deployments(self) -> tuple[DeploymentRecord, ...]:
        """Return the deployments there are, by name."""
        rows = self._read(f"{_LIVE} ORDER BY name")
        return tuple(_deployment(row) for row in rows)

    def deployment(self, name: str) -> DeploymentRecord:
        """Return the deployment of this name.

        Raises:
            UnknownDeployment: There is none.
        """
        rows = self._read(f"{_LIVE} AND name = ?", name)
        if not rows:
            raise UnknownDeployment(name, [each.name for each in self.deployments()])
        return _deployment(rows[0])

    def revisions(self, name: str) -> tuple[Revision, ...]:
        """Return every revision of a deployment, the first one first.

        Raises:
            UnknownDeployment: There is no deployment of this name.
        """
        deployment = self.deployment(name)
        rows = self._read(f"{_REVISIONS} ORDER BY number", deployment.id)
        return tuple(_revision(row) for row in rows)

    def revision(self, name: str, number: int) -> Revision:
        """Return one revision of a deployment.

        Raises:
            UnknownDeployment: There is no deployment of this name.
            UnknownRevision: It has no revision of this number.
        """
        deployment = self.deployment(name)
        rows = self._read(f"{_REVISIONS} AND number = ?", deployment.id, number)
        if not rows:
            raise UnknownRevision(name, number, [each.number for each in self.revisions(name)])
        return _revision(rows[0])

    def depending(self) -> tuple[DeploymentRecord, ...]:
        """Return the deployments whose live revision depends on any other, by name."""
        rows = self._read(
            "SELECT id, name, live, deployments.at FROM deployments"
            " JOIN revisions ON deployment = id AND number = live"
            " WHERE removed_at IS NULL AND dependencies != '{}' ORDER BY name"
        )
        return tuple(_deployment(row) for row in rows)

    def next_number(self, name: str) -> int:
        """Return the number that the next revision of a deployment will have; 1 for a new one."""
        (highest,) = self._read(
            "SELECT max(number) FROM revisions JOIN deployments ON id = deployment"
            " WHERE name = ? AND removed_at IS NULL",
            name,
        )[0]
        return (highest or 0) + 1

    def identity(self, name: str) -> int:
        """Return the id of a deployment, or one set aside for it where there is none yet.

        An id that was set aside and then not used is not used for anything else either.

        Raises:
            StateWriteFailed: It could not be set aside.
        """
        rows = self._read(f"{_LIVE} AND name = ?", name)
        if rows:
            return _deployment(rows[0]).id
        with self._writing("set an id aside") as connection:
            connection.execute(
                "INSERT INTO sqlite_sequence (name, seq) SELECT 'deployments', 0"
                " WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'deployments')"
            )
            (identity,) = connection.execute(
                "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'deployments' RETURNING seq"
            ).fetchone()
        return int(identity)

    def rollouts(self, name: str) -> tuple[RolloutRecord, ...]:
        """Return every rollout of a deployment, the first one first.

        Raises:
            UnknownDeployment: There is no deployment of this name.
        """
        rows = self._read(
            "SELECT id, kind, from_revision, to_revision, who, at, why, strategy, state, ended_at"
            " FROM rollouts WHERE deployment = ? ORDER BY id",
            self.deployment(name).id,
        )
        return tuple(_rollout(row) for row in rows)

    def rollback_target(self, name: str, to: int | None) -> Revision:
        """Return the revision that a rollback leads to.

        Args:
            name: The deployment.
            to: A revision, or None for the one that the live revision replaced.

        Raises:
            UnknownDeployment: There is no deployment of this name.
            UnknownRevision: It has no revision `to`.
            NothingToRollBackTo: `to` is None and the live revision replaced nothing.
        """
        if to is None:
            live = self.revision(name, self.deployment(name).live)
            if live.replaced is None:
                raise NothingToRollBackTo(
                    f"revision {live.number} of '{name}' replaced nothing",
                    hint="name the revision to go to",
                    name=name,
                    revision=live.number,
                )
            to = live.replaced
        return self.revision(name, to)

    def versions(self, name: str) -> frozenset[str]:
        """Return the signed versions that a name has had, deployments that are gone included."""
        rows = self._read(
            "SELECT DISTINCT version FROM revisions JOIN deployments ON id = deployment"
            " WHERE name = ? AND version IS NOT NULL",
            name,
        )
        return frozenset(row[0] for row in rows)

    def record_deploy(
        self, name: str, new: NewRevision, *, identity: int | None = None
    ) -> tuple[DeploymentRecord, Revision]:
        """Record a new revision and make it the live one; the first makes the deployment.

        A deployment that is made has the id `identity`, which was set aside for it.

        Raises:
            StateWriteFailed: Nothing was recorded.
        """
        with self._writing("record the deployment") as connection:
            found = connection.execute(f"{_LIVE} AND name = ?", (name,)).fetchone()
            if found is None:
                at = _now()
                before = None
                deployment = DeploymentRecord(
                    id=_insert_deployment(connection, identity, name, at), name=name, live=1, at=at
                )
            else:
                before = deployment = _deployment(found)
            revision = self._insert_next(connection, deployment, new, first=before is None)
            deployment = dataclasses.replace(deployment, live=revision.number)
            _switch(
                connection,
                deployment.id,
                "deploy",
                (revision.replaced, revision.number),
                who=new.who,
                why=new.why,
            )
        return deployment, revision

    @staticmethod
    def _insert_next(
        connection: sqlite3.Connection,
        deployment: DeploymentRecord,
        new: NewRevision,
        *,
        first: bool = False,
    ) -> Revision:
        """Insert the next revision of a deployment, which becomes the live one elsewhere."""
        (number,) = connection.execute(
            "SELECT coalesce(max(number), 0) + 1 FROM revisions WHERE deployment = ?",
            (deployment.id,),
        ).fetchone()
        revision = Revision(
            number=number,
            digest=new.digest,
            size=new.size,
            settings=new.settings,
            replaced=None if first else deployment.live,
            who=new.who,
            at=_now(),
            why=new.why,
            version=new.version,
            signer=new.signer,
            about=new.about,
            dependencies=new.dependencies,
        )
        _insert_revision(connection, deployment.id, revision)
        return revision

    def record_rollback(self, name: str, to: int, *, who: str, why: str) -> None:
        """Make an earlier revision the live one.

        Raises:
            UnknownDeployment: There is no deployment of this name.
            UnknownRevision: It has no revision `to`.
            StateWriteFailed: Nothing was recorded.
        """
        self.revision(name, to)
        deployment = self.deployment(name)
        with self._writing("record the rollback") as connection:
            _switch(connection, deployment.id, "rollback", (deployment.live, to), who=who, why=why)

    def record_remove(self, name: str, *, who: str, why: str) -> None:
        """Record that a deployment is gone. Its history stays; its name becomes free.

        Raises:
            UnknownDeployment: There is no deployment of this name.
            StateWriteFailed: Nothing was recorded.
        """
        deployment = self.deployment(name)
        with self._writing("record the removal") as connection:
            connection.execute(
                "UPDATE deployments SET removed_at = ?, removed_by = ?, removed_why = ?"
                " WHERE id = ?",
                (_now().timestamp(), who, why, deployment.id),
            )

    def record_collected(self, *, keep: int, before: dt.datetime) -> int:
        """Record that the components of old revisions are not needed; return how many there are.

        Never what is live, nor what a rollout moves from or to.

        Args:
            keep: Of each deployment, the last revisions that are kept.
            before: Revisions that were made later are kept.

        Raises:
            StateWriteFailed: Nothing was recorded.
        """
        with self._writing("record what is collected") as connection:
            return connection.execute(
                "UPDATE revisions SET collected_at = ? WHERE collected_at IS NULL AND at < ?"
                " AND number <> (SELECT live FROM deployments WHERE id = revisions.deployment)"
                " AND number NOT IN (SELECT number FROM revisions AS later"
                " WHERE later.deployment = revisions.deployment ORDER BY number DESC LIMIT ?)"
                " AND NOT EXISTS (SELECT 1 FROM rollouts"
                " WHERE rollouts.deployment = revisions.deployment AND strategy IS NOT NULL"
                " AND ended_at IS NULL AND revisions.number IN (from_revision, to_revision))",
                (_now().timestamp(), before.timestamp(), keep),
            ).rowcount

    def audit_checkpoint(self) -> bytes | None:
        """Return the last signed checkpoint of the audit log; None where there was none yet."""
        rows = self._read("SELECT line FROM audit_checkpoint")
        return rows[0][0] if rows else None

    def record_audit_checkpoint(self, line: bytes) -> None:
        """Record a signed checkpoint of the audit log in place of the one before.

        Raises:
            StateWriteFailed: Nothing was recorded.
        """
        with self._writing("record the checkpoint of the audit log") as connection:
            connection.execute(
                "INSERT INTO audit_checkpoint (only, line) VALUES (1, ?)"
                " ON CONFLICT (only) DO UPDATE SET line = excluded.line",
                (line,),
            )

    def copy_to(self, path: Path) -> None:
        """Write a copy of the present state to a new database at `path`.

        Raises:
            StateWriteFailed: It cannot be written.
        """
        with self._one_statement_sequence, explained("copy the registry", self._directory):
            copy_to(self._connection, path)

    def check_whole(self) -> None:
        """Have SQLite look at every page.

        Raises:
            StateDirectoryDamaged: Something is wrong with one.
        """
        with self._one_statement_sequence, explained("check the registry", self._directory):
            found = self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise StateDirectoryDamaged(
                f"{self._directory / 'airssys.db'} is damaged ({found})",
                hint="restore the state directory from a backup",
                directory=str(self._directory),
            )

    def digests(self) -> frozenset[str]:
        """Return the components that the deployments there are had in any revision."""
        rows = self._read(
            "SELECT DISTINCT digest FROM revisions JOIN deployments ON id = deployment"
            " WHERE removed_at IS NULL AND collected_at IS NULL"
        )
        return frozenset(row[0] for row in rows)

    def removed(self) -> frozenset[str]:
        """Return the names that were those of deployments, and are no more."""
        rows = self._read(
            "SELECT name FROM deployments WHERE removed_at IS NOT NULL"
            " EXCEPT SELECT name FROM deployments WHERE removed_at IS NULL"
        )
        return frozenset(row[0] for row in rows)

    def changes_by_others(self) -> int:
        """Return a number that is another one after a process beside this one wrote."""
        (row,) = self._read("PRAGMA data_version")
        return int(row[0])

    def close(self) -> None:
        """Close the database."""
        with self._one_statement_sequence:
            self._connection.close()

    def _read(self, query: str, *parameters: object) -> list[Any]:
        with self._one_statement_sequence, explained("read the registry", self._directory):
            return self._connection.execute(query, parameters).fetchall()

    @contextlib.contextmanager
    def _writing(self, doing: str) -> Iterator[sqlite3.Connection]:
        with (
            self._one_statement_sequence,
            explained(doing, self._directory),
            transaction(self._connection),
        ):
            yield self._connection


def _insert_deployment(
    connection: sqlite3.Connection, identity: int | None, name: str, at: dt.datetime
) -> int:
    (identity,) = connection.execute(
        "INSERT INTO deployments (id, name, live, at) VALUES (?, ?, 1, ?) RETURNING id",
        (identity, name, at.timestamp()),
    ).fetchone()
    return int(identity)


def _insert_revision(connection: sqlite3.Connection, deployment: int, revision: Revision) -> None:
    connection.execute(
        "INSERT INTO revisions"
        " (deployment, number, digest, size, settings, replaced, who, at, why, version, signer,"
        " about, dependencies) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            deployment,
            revision.number,
            revision.digest,
            revision.size,
            msgspec.json.encode(revision.settings).decode(),
            revision.replaced,
            revision.who,
            revision.at.timestamp(),
            revision.why,
            revision.version,
            revision.signer,
            msgspec.json.encode(revision.about).decode(),
            msgspec.json.encode(revision.dependencies).decode(),
        ),
    )


def _switch(
    connection: sqlite3.Connection,
    deployment: int,
    kind: str,
    revisions: tuple[int | None, int],
    *,
    who: str,
    why: str,
) -> None:
    connection.execute(
        "INSERT INTO rollouts (deployment, kind, from_revision, to_revision, who, at, why)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (deployment, kind, *revisions, who, _now().timestamp(), why),
    )
    connection.execute("UPDATE deployments SET live = ? WHERE id = ?", (revisions[1], deployment))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _deployment(row: tuple[Any, ...]) -> DeploymentRecord:
    identity, name, live, at = row
    return DeploymentRecord(id=identity, name=name, live=live, at=_moment(at))


def _revision(row: tuple[Any, ...]) -> Revision:
    number, digest, size, settings, replaced, who, at, why, version, signer = row[:10]
    about, dependencies, collected = row[10:]
    return Revision(
        number=number,
        digest=digest,
        size=size,
        settings=msgspec.json.decode(settings, type=Settings),
        replaced=replaced,
        who=who,
        at=_moment(at),
        why=why,
        version=version,
        signer=signer,
        about=msgspec.json.decode(about, type=About),
        dependencies=msgspec.json.decode(dependencies, type=dict[str, Locked]),
        collected=collected is not None,
    )


def _rollout(row: tuple[Any, ...]) -> RolloutRecord:
    number, kind, start, end, who, at, why, strategy, state, ended = row
    return RolloutRecord(
        id=number,
        kind=kind,
        from_revision=start,
        to_revision=end,
        who=who,
        at=_moment(at),
        why=why,
        strategy=None if strategy is None else msgspec.json.decode(strategy)["kind"],
        state=state,
        ended=None if ended is None else _moment(ended),
    )
