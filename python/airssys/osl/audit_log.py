"""Reading and verifying an audit log, from any process."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airssys.errors import AirsSysError
from airssys.osl._native import AuditReader, audit_public_key, audit_verify, typed
from airssys.osl.errors import AuditTruncated, OslError
from airssys.osl.regular_file import read_regular

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

__all__ = [
    "AuditSearch",
    "Record",
    "has_log",
    "need_log",
    "public_key_of",
    "read_records",
    "verify_log",
]

_BATCH = 1000
# Bytes of a key, or of a checkpoint.
_MOST = 1 << 16
# Waiting for new records is cut into pieces of this many seconds, so that Ctrl-C is noticed.
_WAIT = 0.5


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log.

    Attributes:
        sequence: Its number, without gaps from 1.
        time: UTC seconds.
        principal: Who acted; empty for the system's own events.
        callers: Names of those who called, the first first.
        operation: `kind.access` of a decision, or the name of an event.
        target: On what, masked where masks say so.
        decision: `allow`, `deny`, `ask`, `observed`; `outcome` for what is no decision.
        rule: Which rule decided.
        enforcement: In which mode.
        count: Of identical refusals that this record stands for; 0 for an ordinary one.
        detail: More about it.
        session, trace_id: From the context.
        raw: The line as it is in the log.
    """

    sequence: int
    time: float
    principal: str
    operation: str
    target: str
    decision: str
    rule: str = ""
    enforcement: str = ""
    count: int = 0
    detail: str = ""
    session: str = ""
    trace_id: str = ""
    callers: tuple[str, ...] = ()
    raw: bytes = field(default=b"", repr=False)

    @classmethod
    def parse(cls, line: bytes) -> Record:
        """Return the record that a line holds."""
        data = json.loads(line)
        return cls(
            sequence=data["seq"],
            time=dt.datetime.fromisoformat(data["time"]).timestamp(),
            principal=data.get("principal", ""),
            operation=data.get("op", ""),
            target=data.get("target", ""),
            decision=data.get("decision", ""),
            rule=data.get("rule", ""),
            enforcement=data.get("enforcement", ""),
            count=data.get("count", 0),
            detail=data.get("detail", ""),
            session=data.get("session", ""),
            trace_id=data.get("trace", ""),
            callers=tuple(data.get("chain", ())),
            raw=line,
        )


def has_log(directory: str | os.PathLike[str]) -> bool:
    """Return whether there is a log in a directory."""
    # A log that was opened once has this file from then on.
    return (Path(directory) / "owner").is_file()


def need_log(directory: str | os.PathLike[str]) -> Path:
    """Return the directory of a log, or raise when there is none in it."""
    path = Path(directory)
    if not has_log(path):
        raise OslError(
            f"there is no audit log in {str(directory)!r}; name its directory with --log",
            code="no-audit-log",
            directory=str(directory),
        )
    return path


def read_records(
    directory: str | os.PathLike[str],
    *,
    after: int = 0,
    principal: str | None = None,
    operation: str | None = None,
    target: str | None = None,
    decision: str | None = None,
    rule: str | None = None,
    since: float | None = None,
    until: float | None = None,
    limit: int | None = None,
    last: int | None = None,
    follow: bool = False,
) -> Iterator[Record]:
    """Yield records that match, oldest first; the log may be in use.

    Args:
        directory: Directory of the log.
        after: Only records with a greater sequence.
        principal: Exact name.
        operation: Exact name, or a family such as `filesystem`.
        target: Part of the target.
        decision: Exact decision.
        rule: Exact name.
        since: UTC seconds of the first record.
        until: UTC seconds that no record reaches.
        limit: Records to yield at most.
        last: Skip all but so many of those that are there already.
        follow: Go on with new ones as they are written, without end.

    Raises:
        OslError: There is no log.
    """
    search = AuditSearch(
        directory,
        after=after,
        principal=principal,
        operation=operation,
        target=target,
        decision=decision,
        rule=rule,
        since=since,
        until=until,
        limit=limit,
        last=last,
    )
    yield from map(Record.parse, search.there())
    while follow and not search.over:
        yield from map(Record.parse, search.more(_WAIT))


class AuditSearch:
    """A look through a log, which may be in use; records are lines of JSON as the log has them.

    Args:
        directory: Directory of the log.
        limit: Records that `there` yields at most.
        last: It skips all but so many.
        wanted: As for `read_records`.

    Attributes:
        over: Whether there are as many as may be yielded.

    Raises:
        OslError: There is no log.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        limit: int | None = None,
        last: int | None = None,
        **wanted: Any,
    ) -> None:
        need_log(directory)
        self._limit = limit
        self._last = last
        self.over = limit == 0
        with _typed():
            self._reader = AuditReader(directory, **wanted)

    def there(self) -> Iterator[bytes]:
        """Yield the records that are there, the oldest first."""
        found = self._all()
        if self._last is not None:
            found = iter(deque(found, maxlen=self._last))
        for number, line in enumerate(found, 1):
            if self.over:
                return
            self.over = number == self._limit
            yield line

    def more(self, wait: float = 0.0) -> list[bytes]:
        """Return the next ones; waits up to `wait` seconds for the first of them."""
        with _typed():
            return self._reader.read(_BATCH, wait)

    def _all(self) -> Iterator[bytes]:
        while lines := self.more():
            yield from lines


@contextlib.contextmanager
def _typed() -> Iterator[None]:
    try:
        yield
    except AirsSysError as error:
        raise typed(error) from None


def _public(seed: bytes, path: Path) -> bytes:
    try:
        return audit_public_key(seed)
    except AirsSysError as error:
        raise OslError(
            f"{str(path)!r} is no signing key of an audit log: expected 32 bytes, found "
            f"{len(seed)}; a public key needs a name that ends in .pub",
            code="audit-key",
            path=str(path),
        ) from error


def public_key_of(directory: str | os.PathLike[str]) -> bytes:
    """Return the public half of the key that lies beside a log.

    Raises:
        OslError: There is no log, or what lies there is no key.
        OSError: The key cannot be read.
    """
    beside = need_log(directory)
    beside = beside.with_name(beside.name + ".key")
    return _public(read_regular(beside, _MOST), beside)


def verify_log(
    directory: str | os.PathLike[str],
    *,
    key: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | bytes | None = None,
) -> dict[str, object]:
    """Check every record, hash and signature; return what was found.

    Args:
        directory: Directory of the log.
        key: File with the 32-byte public key, or the signing key itself; by default the file
            beside the log.
        checkpoint: A checkpoint that was kept elsewhere, or the file with it.

    Raises:
        AuditTruncated: The log is behind a checkpoint, or gone.
        OslError: `audit-corrupt`, naming the place.
    """
    if checkpoint is None or has_log(directory):
        directory = need_log(directory)
    else:
        raise AuditTruncated(
            f"there is no audit log in {str(directory)!r}, of which there is a signed checkpoint: "
            "it was removed; bring it back from a backup",
            directory=str(directory),
        )
    public = None
    if key is not None:
        # A public key is told from a signing key by its name, as `ssh-keygen` does.
        data = read_regular(key, _MOST)
        public = data if Path(key).suffix == ".pub" else _public(data, Path(key))
    else:
        beside = directory.with_name(directory.name + ".key")
        if beside.exists():
            public = _public(read_regular(beside, _MOST), beside)
    kept = checkpoint
    if kept is not None and not isinstance(kept, bytes):
        kept = read_regular(kept, _MOST)
    try:
        return dict(audit_verify(directory, public_key=public, checkpoint=kept))
    except AirsSysError as error:
        raise typed(error) from None
