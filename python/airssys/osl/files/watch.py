"""Changes of files and directories as they happen."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from airssys.errors import AirsSysError
from airssys.osl._inotify import Inotify, Mask, RawEvent
from airssys.osl._native import typed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from airssys.osl._native import OpenedFile
    from airssys.osl.authority import Authority

__all__ = ["Change", "ChangeKind", "Watch"]

#: `overflow` says that changes were lost because nobody read them: look at everything again.
ChangeKind: TypeAlias = Literal[
    "created", "modified", "attributes", "deleted", "moved_from", "moved_to", "overflow"
]

_MASK = (
    Mask.MODIFY
    | Mask.ATTRIB
    | Mask.MOVED_FROM
    | Mask.MOVED_TO
    | Mask.CREATE
    | Mask.DELETE
    | Mask.DELETE_SELF
    | Mask.MOVE_SELF
)
_KINDS: tuple[tuple[Mask, ChangeKind], ...] = (
    (Mask.OVERFLOW, "overflow"),
    (Mask.CREATE, "created"),
    (Mask.MODIFY, "modified"),
    (Mask.DELETE, "deleted"),
    (Mask.DELETE_SELF, "deleted"),
    (Mask.MOVED_FROM, "moved_from"),
    (Mask.MOVE_SELF, "moved_from"),
    (Mask.MOVED_TO, "moved_to"),
    (Mask.ATTRIB, "attributes"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        path: What changed.
        kind: How.
        cookie: The same number for the two halves of a move inside one watched directory, else 0.
    """

    path: str
    kind: ChangeKind
    cookie: int = 0


class Watch:
    """An async iterator over changes; ends when closed, or with `AccessDenied` when revoked."""

    def __init__(
        self, authority: Authority, opened: OpenedFile, again: Callable[[], OpenedFile]
    ) -> None:
        self._inotify = Inotify()
        self._again = again
        self._queue: list[Change] = []
        try:
            self._inotify.add(opened.fd, os.fsdecode(opened.path_bytes), _MASK)
        except BaseException:
            self._inotify.close()
            raise
        authority.system.watch_over(self)

    def recheck(self) -> None:
        """Decide again, and end the iteration where the right is gone."""
        try:
            self._again().close()
        except AirsSysError as error:
            self._inotify.fail(typed(error))
        except OSError:
            # What is gone cannot be decided on; its deletion is among the changes.
            return

    def close(self) -> None:
        """Stop watching."""
        self._inotify.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        """Wait for the next change; cancelling loses none."""
        while not self._queue:
            self._queue.extend(
                change for event in await self._inotify.__anext__() for change in _changes(event)
            )
        return self._queue.pop(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _changes(event: RawEvent) -> list[Change]:
    path = os.path.join(event.directory, event.name) if event.name else event.directory
    return [Change(path, kind, event.cookie) for mask, kind in _KINDS if event.mask & mask]
