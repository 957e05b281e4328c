"""The questions that wait for a person, in the database of the state directory."""

# pyright: reportPrivateUsage=false
# The table stands in the registry's database.

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from airssys.wasm.security.errors import UnknownApproval

if TYPE_CHECKING:
    from collections.abc import Collection

    from airssys.osl import ApprovalRequest
    from airssys.wasm.registry import Registry

__all__ = ["Answer", "ApprovalRecords", "PendingApproval"]

Answer = Literal["approve", "deny"]

_COLUMNS = "id, principal, kind, access, target, rule, callers, asked_at, until"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PendingApproval:
    """An access that waits for a person.

    Attributes:
        id: A number that is never reused.
        principal: Who wants it: the name of a deployment.
        kind: Kind of the capability.
        access: What is to be done.
        target: On what; of paths that of the host.
        rule: The rule that says to ask.
        callers: On whose behalf, the original caller first.
        asked_at: Since when it waits, in UTC.
        until: When the wait is over and it is refused, in UTC.
    """

    id: int
    principal: str
    kind: str
    access: str
    target: str
    rule: str
    callers: tuple[str, ...]
    asked_at: dt.datetime
    until: dt.datetime


class ApprovalRecords:
    """Puts questions where people find them, and has their answers. Safe for several threads.

    Args:
        registry: The open registry of the state directory, of its owner or beside it.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def ask(self, request: ApprovalRequest, timeout: float) -> int:
        """Record a question and return its number.

        Raises:
            StateWriteFailed: It could not be recorded.
        """
        now = dt.datetime.now(dt.UTC).timestamp()
        permission = request.permission
        callers = [caller.name for caller in request.context.callers]
        with self._registry._writing("record a question") as connection:  # noqa: SLF001
            (number,) = connection.execute(
                "INSERT INTO approvals"
                " (principal, kind, access, target, rule, callers, asked_at, until)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (
                    request.context.principal.name,
                    permission.kind,
                    permission.access,
                    permission.target,
                    request.rule,
                    msgspec.json.encode(callers).decode(),
                    now,
                    now + timeout,
                ),
            ).fetchone()
        return int(number)

    def pending(self) -> tuple[PendingApproval, ...]:
        """Return what waits for an answer, the oldest first."""
        rows = self._registry._read(  # noqa: SLF001
            f"SELECT {_COLUMNS} FROM approvals"  # noqa: S608 - the text is this module's
            " WHERE answer IS NULL AND ended_at IS NULL AND until > ? ORDER BY id",
            dt.datetime.now(dt.UTC).timestamp(),
        )
        return tuple(_pending(row) for row in rows)

    def answer(self, number: int, answer: Answer, *, who: str, why: str) -> PendingApproval:
        """Answer a question; the first answer counts.

        Raises:
            UnknownApproval: No question of this number waits.
            StateWriteFailed: The answer could not be recorded.
        """
        now = dt.datetime.now(dt.UTC).timestamp()
        with self._registry._writing("record the answer") as connection:  # noqa: SLF001
            row = connection.execute(
                "UPDATE approvals SET answer = ?, answered_by = ?, answered_why = ?,"  # noqa: S608
                " answered_at = ? WHERE id = ? AND answer IS NULL AND ended_at IS NULL"
                f" AND until > ? RETURNING {_COLUMNS}",
                (answer, who, why, now, number, now),
            ).fetchone()
        if row is None:
            raise UnknownApproval(number, [each.id for each in self.pending()])
        return _pending(row)

    def answers(self, numbers: Collection[int]) -> dict[int, tuple[Answer, str]]:
        """Return which of these questions are answered: how, and by whom."""
        rows = self._registry._read(  # noqa: SLF001
            "SELECT id, answer, answered_by FROM approvals"
            " WHERE answer IS NOT NULL AND ended_at IS NULL"
        )
        return {row[0]: (row[1], row[2]) for row in rows if row[0] in numbers}

    def end(self, number: int) -> None:
        """Record that nobody waits for an answer any more.

        Raises:
            StateWriteFailed: It could not be recorded.
        """
        with self._registry._writing("record the end of a question") as connection:  # noqa: SLF001
            connection.execute(
                "UPDATE approvals SET ended_at = ? WHERE id = ? AND ended_at IS NULL",
                (dt.datetime.now(dt.UTC).timestamp(), number),
            )

    def end_all(self) -> None:
        """Record that nothing waits any more: whatever did has ended with its host.

        Raises:
            StateWriteFailed: It could not be recorded.
        """
        if not self._registry._read("SELECT 1 FROM approvals WHERE ended_at IS NULL LIMIT 1"):  # noqa: SLF001
            return
        with self._registry._writing("end old questions") as connection:  # noqa: SLF001
            connection.execute(
                "UPDATE approvals SET ended_at = ? WHERE ended_at IS NULL",
                (dt.datetime.now(dt.UTC).timestamp(),),
            )

    def is_ended(self, number: int) -> bool:
        """Whether the host that asked has taken the answer, or does not wait any more."""
        rows = self._registry._read(  # noqa: SLF001
            "SELECT 1 FROM approvals WHERE id = ? AND ended_at IS NOT NULL", number
        )
        return bool(rows)


def _pending(row: tuple[Any, ...]) -> PendingApproval:
    number, principal, kind, access, target, rule, callers, asked_at, until = row
    return PendingApproval(
        id=number,
        principal=principal,
        kind=kind,
        access=access,
        target=target,
        rule=rule,
        callers=tuple(msgspec.json.decode(callers)),
        asked_at=dt.datetime.fromtimestamp(asked_at, dt.UTC),
        until=dt.datetime.fromtimestamp(until, dt.UTC),
    )
