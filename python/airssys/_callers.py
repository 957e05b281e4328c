"""For whom code acts: the chain of callers that the host carries through a program."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

__all__ = ["Callers", "callers"]


class Callers(Protocol):
    """A chain of callers, as the native module makes it."""

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, the original caller first."""
        ...


#: The chain of those who are served here, the one who called last included; None where nobody
#: called. Set around host functions and handlers of messages by the framework alone; whatever is
#: called or sent from such code carries it on.
callers: ContextVar[Callers | None] = ContextVar("airssys_callers", default=None)
