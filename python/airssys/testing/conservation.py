"""The law that no message is lost silently, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airssys.rt import System

__all__ = ["NotConserved", "assert_conserved"]


class NotConserved(AssertionError):
    """The books of a mailbox do not add up."""


def assert_conserved(system: System) -> None:
    """Check the books of every living mailbox of a system.

    `accepted = handled + queued + stashed + in flight + dead` and
    `asked = answered + failed + expired + cancelled + pending`.

    Raises:
        NotConserved: They do not add up; the message shows the figures.
    """
    for books in system.books():
        if books.accepted != (
            books.handled + books.queued + books.stashed + books.in_flight + books.dead
        ):
            raise NotConserved(f"messages of {books.path} are not conserved: {books}")
        if books.asked != (
            books.answered + books.failed + books.expired + books.cancelled + books.pending
        ):
            raise NotConserved(f"asks of {books.path} are not conserved: {books}")
