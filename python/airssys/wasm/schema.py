"""The database of a state directory: its tables, and the way from each version to the next."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Final

from airssys.wasm.host_errors import (
    StateDirectoryDamaged,
    StateDirectoryError,
    StateDirectoryTooNew,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["MIGRATIONS", "connect", "connect_read_only", "copy_to", "transaction"]

#: In the header of every database of AirsSys ("airs"), so that another program's file is not
#: mistaken for one.
_APPLICATION: Final = 0x61697273

#: `MIGRATIONS[n]` leads from version n to n + 1; the version is SQLite's `user_version`. A released
#: entry never changes.
MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE deployments (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        live INTEGER NOT NULL,
        at REAL NOT NULL,
        removed_at REAL,
        removed_by TEXT,
        removed_why TEXT
    ) STRICT;
    CREATE UNIQUE INDEX deployments_by_name ON deployments (name) WHERE removed_at IS NULL;
    CREATE TABLE revisions (
        deployment INTEGER NOT NULL REFERENCES deployments (id),
        number INTEGER NOT NULL,
        digest TEXT NOT NULL,
        size INTEGER NOT NULL,
        settings TEXT NOT NULL,
        replaced INTEGER,
        who TEXT NOT NULL,
        at REAL NOT NULL,
        why TEXT NOT NULL,
        PRIMARY KEY (deployment, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE rollouts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        deployment INTEGER NOT NULL REFERENCES deployments (id),
        kind TEXT NOT NULL CHECK (kind IN ('deploy', 'rollback')),
        from_revision INTEGER,
        to_revision INTEGER NOT NULL,
        who TEXT NOT NULL,
        at REAL NOT NULL,
        why TEXT NOT NULL
    ) STRICT;
    CREATE INDEX rollouts_by_deployment ON rollouts (deployment);
    """,
    """
    ALTER TABLE revisions ADD COLUMN version TEXT;
    ALTER TABLE revisions ADD COLUMN signer TEXT
    """,
    """
    CREATE TABLE actors (
        deployment INTEGER NOT NULL REFERENCES deployments (id),
        key TEXT NOT NULL,
        snapshot BLOB,
        revision INTEGER,
        at REAL,
        PRIMARY KEY (deployment, key)
    ) STRICT, WITHOUT ROWID;
    """,
    # A grant is recorded before the deployment that it is for, so that nothing runs without it.
    """
    CREATE TABLE grants (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        deployment INTEGER NOT NULL,
        kind TEXT NOT NULL,
        access TEXT NOT NULL,
        target TEXT NOT NULL,
        more TEXT NOT NULL,
        who TEXT NOT NULL,
        at REAL NOT NULL,
        why TEXT NOT NULL,
        until REAL,
        place TEXT NOT NULL,
        act_as TEXT,
        caller TEXT,
        revoked_at REAL,
        revoked_by TEXT,
        revoked_why TEXT
    ) STRICT;
    CREATE INDEX grants_by_deployment ON grants (deployment) WHERE revoked_at IS NULL;
    """,
    # What other processes write, the host takes up: `told` says what of a grant is in its log.
    """
    ALTER TABLE grants ADD COLUMN told TEXT NOT NULL DEFAULT '';
    CREATE TABLE approvals (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        principal TEXT NOT NULL,
        kind TEXT NOT NULL,
        access TEXT NOT NULL,
        target TEXT NOT NULL,
        rule TEXT NOT NULL,
        callers TEXT NOT NULL,
        asked_at REAL NOT NULL,
        until REAL NOT NULL,
        answer TEXT,
        answered_by TEXT,
        answered_why TEXT,
        answered_at REAL,
        ended_at REAL
    ) STRICT;
    CREATE INDEX approvals_open ON approvals (id) WHERE ended_at IS NULL;
    CREATE TABLE reviews (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        deployment INTEGER NOT NULL,
        asked TEXT NOT NULL,
        component TEXT NOT NULL,
        manifest TEXT NOT NULL,
        policy TEXT NOT NULL,
        who TEXT NOT NULL,
        why TEXT NOT NULL,
        at REAL NOT NULL
    ) STRICT;
    CREATE INDEX reviews_by_deployment ON reviews (deployment);
    """,
    """
    CREATE TABLE snapshots (
        deployment INTEGER NOT NULL REFERENCES deployments (id),
        key TEXT NOT NULL,
        revision INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        version TEXT,
        rollback TEXT NOT NULL CHECK (rollback IN ('reverse', 'discard', 'refuse')),
        snapshot BLOB NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (deployment, key, revision)
    ) STRICT;
    INSERT INTO snapshots
        SELECT deployment, key, revision, 1, NULL, 'reverse', snapshot, at FROM actors
        WHERE snapshot IS NOT NULL;
    ALTER TABLE actors DROP COLUMN snapshot;
    ALTER TABLE actors DROP COLUMN revision;
    ALTER TABLE actors DROP COLUMN at;
    """,
    # What stood here before went from one revision to the other at once.
    """
    ALTER TABLE rollouts ADD COLUMN strategy TEXT;
    ALTER TABLE rollouts ADD COLUMN state TEXT NOT NULL DEFAULT 'promoted';
    ALTER TABLE rollouts ADD COLUMN salt BLOB;
    ALTER TABLE rollouts ADD COLUMN baseline TEXT;
    ALTER TABLE rollouts ADD COLUMN ended_at REAL;
    CREATE UNIQUE INDEX rollouts_open ON rollouts (deployment)
        WHERE state IN ('running', 'paused', 'held');
    CREATE TABLE rollout_steps (
        rollout INTEGER NOT NULL REFERENCES rollouts (id),
        sequence INTEGER NOT NULL,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        state TEXT NOT NULL,
        step INTEGER NOT NULL,
        weight REAL NOT NULL,
        who TEXT NOT NULL,
        why TEXT NOT NULL,
        judgement TEXT,
        stages TEXT NOT NULL,
        PRIMARY KEY (rollout, sequence)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE revisions ADD COLUMN about TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE revisions ADD COLUMN dependencies TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE revisions ADD COLUMN collected_at REAL;
    CREATE TABLE locks (
        scope TEXT PRIMARY KEY,
        who TEXT NOT NULL,
        at REAL NOT NULL,
        why TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    # How far the audit log had come, where whoever removes the log does not remove it too.
    """
    CREATE TABLE audit_checkpoint (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        line BLOB NOT NULL
    ) STRICT;
    """,
)


def connect(path: Path, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """Open the database for its owner, making it or bringing it to the present version.

    An older database is copied to `airssys.db.v<version>` before it is changed.

    Raises:
        StateDirectoryTooNew: A newer version of AirsSys wrote it; it was not touched.
        StateDirectoryDamaged: It belongs to another program.
        sqlite3.Error: SQLite cannot open or write it.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        version = _version(connection, path, len(migrations))
        connection.execute("PRAGMA journal_mode = WAL")
        # In WAL mode anything less may lose acknowledged transactions when the power goes.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if 0 < version < len(migrations):
            copy_to(connection, path.with_name(f"{path.name}.v{version}"))
        for number, migration in enumerate(migrations[version:], start=version + 1):
            with transaction(connection):
                for statement in migration.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {number}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open the database to read it, beside its owner if there is one.

    Raises:
        StateDirectoryTooNew: A newer version of AirsSys wrote it.
        StateDirectoryDamaged: It belongs to another program.
        sqlite3.Error: SQLite cannot open it.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
    )
    try:
        _version(connection, path, len(MIGRATIONS))
    except BaseException:
        connection.close()
        raise
    return connection


def connect_beside(path: Path) -> sqlite3.Connection:
    """Open the database to write beside its owner, which notices.

    Raises:
        StateDirectoryTooNew: A newer version of AirsSys wrote it.
        StateDirectoryError: An older one did; only its owner brings it to the present version.
        StateDirectoryDamaged: It belongs to another program.
        sqlite3.Error: SQLite cannot open or write it.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None
    )
    try:
        version = _version(connection, path, len(MIGRATIONS))
        if version < len(MIGRATIONS):
            raise _too_old(path, version)  # noqa: TRY301 - closes what was opened
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what is done inside durably, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some failures (a full disk among them) have already rolled back.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    version = _pragma(connection, "user_version")
    application = _pragma(connection, "application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != _APPLICATION and (tables or version):
        raise StateDirectoryDamaged(
            f"{path} is not a database of AirsSys", hint="name another state directory"
        )
    if version > newest:
        raise StateDirectoryTooNew(
            f"state directory {path.parent} has version {version},"
            f" this AirsSys reads up to {newest}",
            hint="use the newer AirsSys that wrote it; nothing was changed",
            directory=str(path.parent),
            version=version,
            newest=newest,
        )
    return version


def _too_old(path: Path, version: int) -> StateDirectoryError:
    return StateDirectoryError(
        f"an older AirsSys wrote state directory {path.parent}",
        hint="restart its host with this one, which brings it up to date",
        directory=str(path.parent),
        version=version,
        newest=len(MIGRATIONS),
    )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def copy_to(connection: sqlite3.Connection, path: Path) -> None:
    """Write a copy of a database, while it is used, in place of what is at `path`."""
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as copy:
        copy.execute("PRAGMA synchronous = FULL")
        connection.backup(copy)
