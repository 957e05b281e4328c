"""Health checks: healthy, degraded, unhealthy, unknown; and the restart of what stays unhealthy."""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, Any

from airssys.rt.errors import InvalidSpec, RuntimeFailure
from airssys.rt.events import HealthChanged
from airssys.rt.ref import LocalRef

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airssys.rt.ref import Ref
    from airssys.rt.system import System

__all__ = ["Health", "HealthCheck", "Unhealthy"]


class Health(enum.Enum):
    """The verdict of a check; `UNKNOWN` until one was made, and where none can be made."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class Unhealthy(RuntimeFailure):
    """The actor was failed because its health checks did."""

    default_code = "unhealthy"


class HealthCheck:
    """Checks one actor regularly; `inspect` shows the verdict.

    Attributes:
        health: The verdict by thresholds; `DEGRADED` from the first bad check on, `UNKNOWN` before
            the first check.
        failures: Bad checks in a row.
    """

    def __init__(
        self,
        system: System,
        ref: Ref[Any],
        check: Callable[[Ref[Any]], Awaitable[Health | bool | None]],
        *,
        interval: float = 10.0,
        timeout: float = 1.0,
        unhealthy_after: int = 3,
        healthy_after: int = 1,
        restart: bool = True,
    ) -> None:
        if interval <= 0 or timeout <= 0 or unhealthy_after < 1 or healthy_after < 1:
            raise InvalidSpec("health check: interval and timeout above 0, thresholds at least 1")
        self.ref = ref
        self.health = Health.UNKNOWN
        self.failures = 0
        self._successes = 0
        self._system = system
        self._check = check
        self._interval = interval
        self._timeout = timeout
        self._unhealthy_after = unhealthy_after
        self._healthy_after = healthy_after
        self._restart = restart
        self._task = system.own_task(self._run())

    async def _run(self) -> None:
        while self.ref.alive:
            await asyncio.sleep(self._interval)
            if not self.ref.alive:
                return
            await self.look()

    async def look(self) -> Health:
        """Check now; raising, `False`, `UNHEALTHY` and taking too long count as bad.

        A check that finds `UNKNOWN` leaves the verdict as it is.
        """
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._check(self.ref)
        except Exception:  # noqa: BLE001 - a failing check is a verdict
            found = Health.UNHEALTHY
        if found is Health.UNKNOWN:
            return self.health
        if found is False or found is Health.UNHEALTHY:
            self.failures += 1
            self._successes = 0
            bad = self.failures >= self._unhealthy_after
            self._verdict(Health.UNHEALTHY if bad else Health.DEGRADED)
            if bad and self._restart:
                self.failures = 0
                self._system.fail(
                    self.ref,
                    Unhealthy(
                        f"{self.ref.path} failed {self._unhealthy_after} health checks in a row",
                        path=self.ref.path,
                    ),
                )
        else:
            self.failures = 0
            self._successes += 1
            if found is Health.DEGRADED:
                self._verdict(Health.DEGRADED)
            elif self._successes >= self._healthy_after:
                self._verdict(Health.HEALTHY)
        return self.health

    def _verdict(self, health: Health) -> None:
        if health is not self.health:
            before, self.health = self.health, health
            if isinstance(self.ref, LocalRef):
                self.ref._cell.details().health = health.value
            self._system.events.publish(
                HealthChanged(self.ref, health=health.value, before=before.value)
            )

    def cancel(self) -> None:
        """Check no more."""
        self._task.cancel()
