"""How an actor is run: its mailbox, its restarts, its deadlines."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from random import Random

from airssys.rt._mailbox import Bounded
from airssys.rt.errors import InvalidSpec

__all__ = ["DEFAULT_OPTIONS", "Backoff", "Options", "Restart"]


class Restart(enum.Enum):
    """When a supervisor restarts a child.

    `PERMANENT`: however it ended; `TRANSIENT`: after an abnormal end; `TEMPORARY`: never.
    """

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a restart.

    The delay before restart `n` (from 1) is uniform in `[minimum, min(maximum, minimum * 2**n)]`
    seconds, which is exponential backoff with jitter.
    """

    minimum: float = 0.1
    maximum: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.minimum <= self.maximum < math.inf:
            raise InvalidSpec(
                f"Backoff({self.minimum}, {self.maximum}): expected 0 < minimum <= maximum seconds",
                minimum=self.minimum,
                maximum=self.maximum,
            )

    def delay(self, attempt: int, seed: int | str) -> float:
        """Seconds before restart `attempt`, from 1: a pure function of it and the seed."""
        ceiling = min(self.maximum, self.minimum * 2.0 ** min(attempt, 1000))
        return Random(f"{seed}:{attempt}").uniform(self.minimum, ceiling)  # noqa: S311 - jitter


@dataclass(frozen=True, slots=True)
class Options:
    """How an actor is run.

    Attributes:
        mailbox: Bound and overflow policy.
        restart: When its supervisor restarts it.
        backoff: Delay before restarts; None restarts at once.
        shutdown: Seconds that a stop may take before it becomes a kill; 0 kills at once; `inf`
            (for supervisors) waits as long as the system's own deadline allows.
        start_timeout: Seconds that `started` may take.
        significant: Whether its end counts for the supervisor's `auto_shutdown`.
        max_consecutive: Restarts without healthy uptime in between after which the supervisor
            escalates.
        healthy_after: Seconds of uptime that count as healthy.
        stash: Messages that may be put aside.
        reentrant_runs: Reentrant handlers that may be in flight at once.
        budget: Seconds that one step may hold the thread before the watchdog reports it; None
            takes the system's.
    """

    mailbox: Bounded = field(default_factory=Bounded)
    restart: Restart = Restart.TEMPORARY
    backoff: Backoff | None = None
    shutdown: float = 5.0
    start_timeout: float = 5.0
    significant: bool = False
    max_consecutive: int = 10
    healthy_after: float = 5.0
    stash: int = 100
    reentrant_runs: int = 100
    budget: float | None = None

    def __post_init__(self) -> None:
        for name in ("shutdown", "start_timeout", "healthy_after"):
            value = getattr(self, name)
            if math.isnan(value) or value < 0:
                raise InvalidSpec(f"{name}={value!r}: expected seconds, 0 or more", option=name)
        for name in ("max_consecutive", "stash", "reentrant_runs"):
            if getattr(self, name) < 0:
                raise InvalidSpec(
                    f"{name}={getattr(self, name)!r}: expected 0 or more", option=name
                )


DEFAULT_OPTIONS = Options()
