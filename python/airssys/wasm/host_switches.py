"""What an operator switches on a host: locks, the kill switch, what is kept of old revisions."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from airssys.wasm.delivery.locks import FROZEN, KILLED, Locks
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.host_inputs import user

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from airssys.wasm.actors.host_actors import HostActors
    from airssys.wasm.delivery.desk import RolloutDesk
    from airssys.wasm.host_events import HostEvents
    from airssys.wasm.security.host_security import HostSecurity
    from airssys.wasm.serving import Serving
    from airssys.wasm.state_directory import StateDirectory

__all__ = ["HostSwitches"]


class HostSwitches:
    """The switches of one open host. Every method may be called by any thread.

    Each is durable when it returns, is in the audit log and is told as an event.

    Args:
        state: The open state directory.
        storing: Held while a component is between its arrival and its record.
        security: Whose log has what was switched.
        events: To whom it is told.
        delivery: The rollouts that are under way.
        actors: Where actors run.
        servings: The deployments, by name.
        run: Runs the live revision of a deployment that runs nothing.
    """

    def __init__(
        self,
        state: StateDirectory,
        storing: threading.Lock,
        security: HostSecurity,
        events: HostEvents,
        delivery: RolloutDesk,
        actors: HostActors,
        servings: Mapping[str, Serving],
        run: Callable[[Serving], None],
    ) -> None:
        self.locks = Locks(state.registry)
        self._state = state
        self._storing = storing
        self._security = security
        self._events = events
        self._delivery = delivery
        self._actors = actors
        self._servings = servings
        self._run = run

    def freeze(self, *, who: str | None = None, why: str = "") -> None:
        """Refuse every deploy, rollback and removal until `thaw`; calls go on.

        Raises:
            StateWriteFailed: It could not be recorded; nothing has changed.
        """
        who = who or user()
        self.locks.set(FROZEN, who=who, why=why)
        self._told("frozen", "", who, why)

    def thaw(self, *, who: str | None = None, why: str = "") -> None:
        """Take changes again; raises as `freeze`."""
        if self.locks.clear(FROZEN):
            self._told("thawed", "", who or user(), why)

    def lock(self, name: str, *, who: str | None = None, why: str = "") -> None:
        """Refuse to deploy, roll back or remove one deployment until `unlock`.

        Raises:
            UnknownDeployment: There is none of this name.
            StateWriteFailed: It could not be recorded; nothing has changed.
        """
        self._state.registry.deployment(name)
        who = who or user()
        self.locks.set(name, who=who, why=why)
        self._told("locked", name, who, why)

    def unlock(self, name: str, *, who: str | None = None, why: str = "") -> None:
        """Take changes of a deployment again, which need not be there any more."""
        if self.locks.clear(name):
            self._told("unlocked", name, who or user(), why)

    def kill_all(self, *, who: str | None = None, why: str = "") -> None:
        """Stop every guest now, and run none until `revive`, not even when opened again.

        Calls that run end with `CallDrained`, further ones with `DeploymentHeld`; actors are
        stopped. A rollout that is under way is taken back.

        Raises:
            StateWriteFailed: It could not be recorded; the guests were stopped all the same.
        """
        who = who or user()
        reason = f"every guest of the host was stopped: {why or 'no reason given'}"
        try:
            self.locks.set(KILLED, who=who, why=why)
        finally:
            for serving in list(self._servings.values()):
                self._delivery.end(serving.name, who=who, why=reason)
                with serving.one_change:
                    if serving.revision is not None:
                        serving.hold(serving.revision, reason)
                        serving.stop()
                        self._actors.close_fleet(serving.name)
                        self._events.tell("held", serving.name, why=reason)
            self._told("killed", "", who, why)

    def revive(self, *, who: str | None = None, why: str = "") -> None:
        """Run the guests again that `kill_all` stopped.

        Raises:
            StateWriteFailed: It could not be recorded; nothing has changed.
        """
        if self.locks.clear(KILLED):
            for serving in list(self._servings.values()):
                with serving.one_change:
                    if serving.revision is not None:
                        self._run(serving)
            self._told("revived", "", who or user(), why)

    def collect(self, *, keep: int, keep_for: float, who: str | None = None) -> int:
        """Delete the components of old revisions; return how many bytes that freed.

        Args:
            keep: Of each deployment, the last revisions that are kept.
            keep_for: Seconds for which every revision is kept.
            who: Who wants it; the user of this process by default.

        Raises:
            InvalidSetting: One of them is negative.
            StateWriteFailed: It could not be recorded, or not all be deleted.
        """
        if keep < 0 or keep_for < 0:
            raise InvalidSetting(f"cannot keep {keep} revisions for {keep_for} s")
        before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=keep_for)
        with self._storing:
            count = self._state.registry.record_collected(keep=keep, before=before)
            freed = self._state.collect()
        self._told("collected", "", who or user(), f"{count} revisions, {freed} bytes")
        return freed

    def _told(self, what: str, name: str, who: str, why: str) -> None:
        detail = f"by {who}" + (f": {why}" if why else "")
        self._security.osl.audit.record(None, f"host.{what}", name or "host", "done", detail=detail)
        self._events.tell(what, name, who=who, why=why)
