"""Making deliveries fail, late or lost, by rule."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from airssys.rt import Drop

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.rt import Delivery, System

__all__ = ["Faults"]


@dataclass(slots=True)
class _Rule:
    path: str | None
    kind: type | None
    probability: float
    times: int | None
    act: Callable[[Delivery], None]

    def matches(self, delivery: Delivery) -> bool:
        return (self.path is None or delivery.ref.path == self.path) and (
            self.kind is None or isinstance(delivery.message, self.kind)
        )


class Faults:
    """Rules that disturb deliveries; the dice are seeded with the system."""

    def __init__(self, system: System, seed: int) -> None:
        self._system = system
        self._random = Random(seed)  # noqa: S311 - not for secrets
        self._rules: list[_Rule] = []
        self._delayed: set[int] = set()

    def _add(
        self,
        act: Callable[[Delivery], None],
        path: str | None,
        kind: type | None,
        probability: float,
        times: int | None,
    ) -> None:
        if not self._rules:
            self._system.add_middleware(self._deliver)
        self._rules.append(_Rule(path, kind, probability, times, act))

    def fail(
        self,
        error: BaseException,
        *,
        path: str | None = None,
        kind: type | None = None,
        probability: float = 1.0,
        times: int | None = None,
    ) -> None:
        """Raise `error` instead of handling matching messages."""

        def act(_delivery: Delivery) -> None:
            raise error

        self._add(act, path, kind, probability, times)

    def drop(
        self,
        *,
        path: str | None = None,
        kind: type | None = None,
        probability: float = 1.0,
        times: int | None = None,
    ) -> None:
        """Make matching messages dead letters `rejected` instead of handling them."""

        def act(_delivery: Delivery) -> None:
            raise Drop("rejected")

        self._add(act, path, kind, probability, times)

    def delay(
        self,
        seconds: float,
        *,
        path: str | None = None,
        kind: type | None = None,
        probability: float = 1.0,
        times: int | None = None,
    ) -> None:
        """Deliver matching messages `seconds` of virtual time later, behind what came meanwhile."""

        def act(delivery: Delivery) -> None:
            if id(delivery.message) in self._delayed:
                self._delayed.discard(id(delivery.message))
                return
            self._delayed.add(id(delivery.message))
            delivery.postpone(seconds)

        self._add(act, path, kind, probability, times)

    def clear(self) -> None:
        """Disturb nothing any more."""
        if self._rules:
            self._rules.clear()
            self._system.remove_middleware(self._deliver)

    def kill(self, ref: Any) -> Any:
        """Kill an actor, as the outside world would."""
        return ref.kill()

    def _deliver(self, delivery: Delivery) -> None:
        for rule in tuple(self._rules):
            if rule.times == 0 or not rule.matches(delivery):
                continue
            if self._random.random() < rule.probability:
                if rule.times is not None:
                    rule.times -= 1
                rule.act(delivery)
