"""Replies given later than the handler that got the ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from airssys.rt._cell import Cell
    from airssys.rt._request import Request

__all__ = ["Reply"]

T = TypeVar("T")


class Reply(Generic[T]):
    """The right to answer one ask, once. It belongs to the incarnation that deferred it."""

    __slots__ = ("_cell", "_request")

    def __init__(self, cell: Cell, request: Request[T]) -> None:
        self._cell = cell
        self._request = request
        more = cell.details()
        if more.deferred is None:
            more.deferred = {}
        more.deferred[request] = None

    def _take(self) -> Request[T]:
        deferred = self._cell.details().deferred
        if deferred is not None:
            deferred.pop(self._request, None)
        return self._request

    @property
    def pending(self) -> bool:
        """Whether the asker still waits."""
        return not self._request.done()

    def send(self, value: T) -> None:
        """Answer; a reply that comes late is counted and dropped."""
        self._take().answer(value)

    def refuse(self, error: Exception) -> None:
        """Fail the asker with `error`."""
        self._take().refuse(error)
