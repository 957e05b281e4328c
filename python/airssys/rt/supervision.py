"""What a supervisor does when a child ends: strategies, intensity, specifications of trees."""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypeVar

from airssys.rt._options import DEFAULT_OPTIONS, Backoff, Options, Restart
from airssys.rt.actor import Actor
from airssys.rt.errors import InvalidSpec
from airssys.rt.ref import LocalRef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airssys.rt._cell import Cell
    from airssys.rt._control import Control
    from airssys.rt._mailbox import Bounded

__all__ = [
    "ONE_FOR_ALL",
    "ONE_FOR_ONE",
    "PERMANENT",
    "REST_FOR_ONE",
    "TEMPORARY",
    "TRANSIENT",
    "Child",
    "Intensity",
    "Strategy",
    "Supervision",
    "Supervisor",
]

ActorT = TypeVar("ActorT", bound=Actor)


class Strategy(enum.Enum):
    """Which children are restarted when one ends."""

    ONE_FOR_ONE = "one-for-one"
    ONE_FOR_ALL = "one-for-all"
    REST_FOR_ONE = "rest-for-one"


ONE_FOR_ONE = Strategy.ONE_FOR_ONE
ONE_FOR_ALL = Strategy.ONE_FOR_ALL
REST_FOR_ONE = Strategy.REST_FOR_ONE
PERMANENT = Restart.PERMANENT
TRANSIENT = Restart.TRANSIENT
TEMPORARY = Restart.TEMPORARY

AutoShutdown: TypeAlias = Literal["never", "any", "all"]


@dataclass(frozen=True, slots=True)
class Supervision:
    """How an actor supervises its children.

    Attributes:
        strategy: Which children are restarted when one ends.
        burst: Restarts within `period` that are tolerated; one more escalates.
        period: Seconds.
        auto_shutdown: Whether it ends itself when `any` or `all` significant children have ended.
    """

    strategy: Strategy = ONE_FOR_ONE
    burst: int = 3
    period: float = 5.0
    auto_shutdown: AutoShutdown = "never"

    def __post_init__(self) -> None:
        if self.burst < 0 or self.period <= 0:
            raise InvalidSpec(
                f"burst={self.burst}, period={self.period}: expected at least 0 restarts "
                "in more than 0 seconds",
            )
        if self.auto_shutdown not in {"never", "any", "all"}:
            raise InvalidSpec(f"auto_shutdown={self.auto_shutdown!r}: expected never, any or all")


class Intensity:
    """Counts restarts in a sliding window; a pure model of the limit, used as it is."""

    __slots__ = ("_times", "burst", "period")

    def __init__(self, burst: int, period: float) -> None:
        self.burst = burst
        self.period = period
        self._times: deque[float] = deque()

    def allow(self, now: float) -> bool:
        """Count a restart at `now`; False when it is one too many."""
        times = self._times
        times.append(now)
        while times and times[0] <= now - self.period:
            times.popleft()
        return len(times) <= self.burst

    @property
    def recent(self) -> int:
        """Restarts in the window when it was last looked at."""
        return len(self._times)


class SupervisionState:
    """What a supervisor remembers."""

    __slots__ = ("group", "intensity", "policy", "reason")

    def __init__(self, policy: Supervision) -> None:
        self.policy = policy
        self.intensity = Intensity(policy.burst, policy.period)
        self.group: Control | None = None
        self.reason = ""

    def allow(self, cell: Cell, now: float, seed: int) -> float | None:
        """Seconds before the restart that is due, or None when it is one too many."""
        more = cell.details()
        if more.consecutive and now - more.ready_since >= cell.options.healthy_after:
            more.consecutive = 0
        more.ready_since = inf  # it is not up until it has started again
        more.consecutive += 1
        if not self.intensity.allow(now):
            self.reason = f"more than {self.policy.burst} restarts in {self.policy.period} s"
            return None
        if more.consecutive > cell.options.max_consecutive:
            self.reason = (
                f"more than {cell.options.max_consecutive} restarts without "
                f"{cell.options.healthy_after} s of uptime"
            )
            return None
        backoff = cell.options.backoff
        return 0.0 if backoff is None else backoff.delay(more.consecutive, f"{seed}:{cell.path}")


class Child:
    """The specification of one supervised actor.

    Args:
        name: Unique among its siblings.
        factory: The actor class, or whatever makes the actor; called anew for each incarnation.
        *args: What the factory gets.
        restart: When it is restarted.
        mailbox: Bound and overflow policy.
        backoff: Delay before restarts.
        shutdown: Seconds that a stop may take before it becomes a kill; 0 kills at once.
        start_timeout: Seconds that `started` may take.
        significant: Whether its end counts for the supervisor's `auto_shutdown`.
        **options: The other fields of `Options`.
    """

    __slots__ = ("args", "factory", "name", "options")

    #: The kind of address that the actor gets.
    ref_type: ClassVar[type[LocalRef[Any]]] = LocalRef

    def __init__(
        self,
        name: str,
        factory: Callable[..., Actor],
        *args: Any,
        restart: Restart = PERMANENT,
        mailbox: Bounded | None = None,
        backoff: Backoff | None = None,
        shutdown: float = 5.0,
        start_timeout: float = 5.0,
        significant: bool = False,
        **options: Any,
    ) -> None:
        check_name(name)
        if not callable(factory):
            raise InvalidSpec(f"child {name!r}: {factory!r} is not an actor class or factory")
        self.name = name
        self.factory = factory
        self.args = args
        try:
            self.options = Options(
                mailbox=mailbox or DEFAULT_OPTIONS.mailbox,
                restart=restart,
                backoff=backoff,
                shutdown=shutdown,
                start_timeout=start_timeout,
                significant=significant,
                **options,
            )
        except TypeError as error:
            raise InvalidSpec(f"child {name!r}: {error}") from error

    def __repr__(self) -> str:
        return f"Child({self.name!r}, {getattr(self.factory, '__name__', self.factory)!s})"


def check_name(name: str) -> None:
    """Refuse names that could not stand in a path."""
    if not name or "/" in name or name != name.strip():
        raise InvalidSpec(
            f"the name {name!r} cannot stand in a path; use a non-empty name without '/' "
            "and without spaces around it",
            name=name,
        )


class Supervisor:
    """The specification of a supervisor and its children; nest them to build a tree.

    Args:
        name: Unique among its siblings.
        strategy: Which children are restarted when one ends.
        burst: Restarts within `period` that are tolerated.
        period: Seconds.
        children: Started in this order, stopped in reverse.
        auto_shutdown: Whether it ends when `any` or `all` significant children have ended.
        restart: When its own supervisor restarts it.
        shutdown: Seconds that its stop may take; `inf` waits for all children.
        backoff: Delay before it is restarted itself.
    """

    __slots__ = ("children", "name", "options", "policy")

    def __init__(
        self,
        name: str,
        strategy: Strategy = ONE_FOR_ONE,
        *,
        burst: int = 3,
        period: float = 5.0,
        children: Sequence[Child | Supervisor] = (),
        auto_shutdown: AutoShutdown = "never",
        restart: Restart = PERMANENT,
        shutdown: float = float("inf"),
        backoff: Backoff | None = None,
        significant: bool = False,
    ) -> None:
        check_name(name)
        self.name = name
        self.policy = Supervision(strategy, burst, period, auto_shutdown)
        self.children = tuple(children)
        seen: set[str] = set()
        for child in self.children:
            if child.name in seen:
                raise InvalidSpec(f"supervisor {name!r} has two children named {child.name!r}")
            seen.add(child.name)
        self.options = Options(
            restart=restart,
            shutdown=shutdown,
            backoff=backoff,
            significant=significant,
            start_timeout=float("inf"),
        )

    def __repr__(self) -> str:
        return f"Supervisor({self.name!r}, {self.policy.strategy.name}, {len(self.children)})"

    @property
    def factory(self) -> Callable[..., Actor]:
        """What makes the supervising actor."""
        return SupervisorActor

    @property
    def args(self) -> tuple[Any, ...]:
        """What the factory gets."""
        return (self,)

    @classmethod
    def from_dict(
        cls, spec: Mapping[str, Any], actors: Mapping[str, Callable[..., Actor]]
    ) -> Supervisor:
        """Build a tree from plain data, as it stands in TOML or JSON.

        Args:
            spec: `name`, `strategy`, `burst`, `period`, `children`; a child with `children` is a
                supervisor, any other has `actor` (a key of `actors`), `args` and options.
            actors: What the names of actors stand for.

        Raises:
            InvalidSpec: A key or value is wrong; the message names it.
        """
        from airssys.rt._spec import supervisor_from_dict  # noqa: PLC0415 - a cycle otherwise

        return supervisor_from_dict(spec, actors)


class SupervisorActor(Actor):
    """The actor behind a `Supervisor`: it starts its children and otherwise only supervises."""

    supervision: ClassVar[Supervision | None]

    def __init__(self, spec: Supervisor) -> None:
        self.spec = spec
        self.supervision = spec.policy  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]

    async def started(self) -> None:
        """Start the children in order."""
        for child in self.spec.children:
            await self.system.start_child(self._cell, child)
