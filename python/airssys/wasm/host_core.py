"""What a host does, in blocking form; `Host` and `BlockingHost` are two ways to call it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airssys.errors import AirsSysError
from airssys.wasm._native import build_info
from airssys.wasm.actors.host_actors import HostActors
from airssys.wasm.actors.moves import ActorMoves
from airssys.wasm.actors.records import ActorRecords
from airssys.wasm.backup.make import BackupMaker
from airssys.wasm.contracts.offers import offered
from airssys.wasm.delivery.desk import RolloutDesk
from airssys.wasm.delivery.locks import KILLED
from airssys.wasm.deployment_name import namespace_of
from airssys.wasm.engine import Engine
from airssys.wasm.errors import ForkedHostError
from airssys.wasm.host_changes import HostChanges
from airssys.wasm.host_errors import (
    DeploymentIsNoActor,
    HostClosed,
    InvalidSetting,
)
from airssys.wasm.host_events import HostEvents
from airssys.wasm.host_inputs import user
from airssys.wasm.host_intake import Intake
from airssys.wasm.host_rights import HostRights
from airssys.wasm.host_switches import HostSwitches
from airssys.wasm.ingress import Ingresses
from airssys.wasm.open_deployments import OpenDeployments
from airssys.wasm.quotas import Ledger
from airssys.wasm.revision_search import find_revisions
from airssys.wasm.security.host_security import HostSecurity
from airssys.wasm.security.security_settings import SecuritySettings
from airssys.wasm.serving import Serving, quota_of
from airssys.wasm.state_directory import StateDirectory
from airssys.wasm.storage_blocking import BlockingStorage
from airssys.wasm.storage_holder import StorageHolder, StorageSettings
from airssys.wasm.trust.admissions import Admissions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airssys.osl import OSL
    from airssys.wasm.accounting import DeploymentStatistics
    from airssys.wasm.actors.fleet import Fleet
    from airssys.wasm.component import Component
    from airssys.wasm.delivery.replay import ReplayReport
    from airssys.wasm.manifest.configuration import Configuration
    from airssys.wasm.quotas import HostCeilings, Usage
    from airssys.wasm.registry import Registry
    from airssys.wasm.revision import Revision, RolloutRecord, Settings
    from airssys.wasm.revision_search import FoundRevision, RevisionQuery
    from airssys.wasm.storage_records import StorageQuota
    from airssys.wasm.trust import Admission

__all__ = ["HostCore"]

_log: Final = logging.getLogger("airssys.wasm")


class HostCore:
    """One open state directory and the deployments in it. Every method may be called by any thread.

    Args:
        directory: The state directory; made when it does not exist.
        provides: Host functions for components, by interface, as `Component.instantiate` takes
            them.
        only: Bring back these deployments, or all where it is None.
        actors: Where deployments of lifetime `actor` run; on a thread of their own by default.
        admission: Which components it lets in: `any` that is not blocked, or only `trusted` ones.
        storage: How the host stores what components keep; durably by default.
        ceilings: The most that the host and its namespaces may use.
        security: By what it decides about components; without a policy by default.
        configuration: The operator's file, for whatever else is not given.

    Raises:
        StateDirectoryError: The directory cannot be used; a subclass says why.
        InvalidSetting: Neither `directory` nor the file says where the state directory is.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        provides: Mapping[Any, Any] | None = None,
        only: Collection[str] | None = None,
        admission: Admission | None = None,
        actors: HostActors | None = None,
        storage: StorageSettings | None = None,
        ceilings: HostCeilings | None = None,
        security: SecuritySettings | None = None,
        configuration: Configuration | None = None,
    ) -> None:
        security = security or SecuritySettings()
        if configuration is not None:
            directory = directory or configuration.state
            admission = admission or configuration.admission
            ceilings = ceilings or configuration.ceilings
            if security.policy is None and security.osl is None:
                security = dataclasses.replace(security, policy=configuration.policy)
        if directory is None:
            raise InvalidSetting(
                "nothing says which directory the host keeps its state in",
                hint="Host.open(directory), or host.state in airssys.toml",
            )
        #: What happens to the deployments.
        self.events = HostEvents()
        self._process = os.getpid()
        self._provides = offered(provides or {})
        self._state = StateDirectory(Path(directory))
        admissions = Admissions(self._state.path, admission or "any", self._state.registry)
        with contextlib.ExitStack() as undoing:
            undoing.callback(self._state.close)
            self.security = HostSecurity(security, self._state.path, self._state.registry)
            undoing.callback(self.security.close)
            self._storage = StorageHolder(
                self._state.path / "kv" / "storage.redb",
                storage or StorageSettings(),
                self._state.registry.removed,
            )
            undoing.pop_all()
        self.ledger = Ledger(ceilings)
        self.ingresses = Ingresses()
        self.actors = actors or HostActors()
        self.deployments = OpenDeployments(
            self._state.registry, self.ledger, self.ingresses, self._new_serving, self.check
        )
        self.intake = Intake(
            self._state,
            configuration,
            admissions,
            self.security,
            Engine(),
            self.deployments.all,
            self.check,
            lambda: self._closed,
        )
        self.actors.keep_logs(self._state.path / "logs")
        records = ActorRecords(self._state.registry)
        self._moves = ActorMoves(self.actors, records, self.events, lambda: self._closed)
        self.delivery = RolloutDesk(self.actors, self._state.registry, self._settle)
        # Between a blob's arrival and its record nothing may collect it.
        self._storing = threading.Lock()
        self._closed = False
        self.backups = BackupMaker(
            self._state, self._storage, self._storing, str(build_info()["version"])
        )
        self.switches = HostSwitches(
            self._state,
            self._storing,
            self.security,
            self.events,
            self.delivery,
            self.actors,
            self.deployments.all,
            self._run_live,
        )
        self.changes = HostChanges(
            check=self.check,
            deployments=self.deployments,
            state=self._state,
            storing=self._storing,
            intake=self.intake,
            security=self.security,
            locks=self.switches.locks,
            delivery=self.delivery,
            actors=self.actors,
            records=records,
            moves=self._moves,
            storage=self._storage,
            events=self.events,
        )
        self.security.replace_with(self.changes.renew)
        self.rights = HostRights(
            self.security,
            self._state.registry,
            self.deployments.serving,
            self.changes.renew,
            self.events,
        )
        # A host that was never closed still ends before the interpreter does.
        self._end = weakref.finalize(
            self,
            _abandon,
            self._process,
            self._state,
            self.deployments.all,
            self._storage,
            self.security,
            self.ledger,
        )
        try:
            self._state.collect()
            self._bring_back_all(only)
        except BaseException:
            self.actors.close()
            self._end()
            raise

    @property
    def directory(self) -> Path:
        """The state directory, absolute."""
        return self._state.path

    @property
    def registry(self) -> Registry:
        """What is recorded of the deployments."""
        return self._state.registry

    @property
    def osl(self) -> OSL:
        """The system whose gate decides about the deployments and whose log records it."""
        return self.security.osl

    @property
    def storage(self) -> BlockingStorage:
        """What the deployments store."""
        return BlockingStorage(self._storage, self._quota)

    def _quota(self, name: str) -> StorageQuota:
        """Return what a deployment may store, which need not be running."""
        self.check()
        serving = self.deployments.all.get(name)
        if serving is not None and serving.quota is not None and serving.revision is not None:
            return serving.quota
        registry = self._state.registry
        return quota_of(registry.revision(name, registry.deployment(name).live).settings)

    def fleet(self, serving: Serving) -> Fleet:
        """Return the actors of a deployment.

        Raises:
            DeploymentHeld: They were restarted too often, or could not be brought back.
            DeploymentIsNoActor: The deployment takes calls.
        """
        fleet = self.actors.fleet(serving.name)
        if fleet is None:
            if serving.make is None:
                self.deployments.refuse_held(serving)
            raise DeploymentIsNoActor(
                f"deployment '{serving.name}' takes calls, not messages",
                hint="deploy it with lifetime='actor', or call it",
                name=serving.name,
            )
        return fleet

    def replay_for_plan(
        self, name: str, component: Component, settings: Settings
    ) -> ReplayReport | None:
        """Make the calls that a deployment keeps again on what would be its next revision.

        Raises:
            ShadowUnsafe: A host function is called, of which nobody knows what it does.
        """
        serving = self.deployments.all.get(name)
        if serving is None or serving.revision is None:
            return None
        number = self.next_number(name)
        # With the rights that it would have, and has no longer than this.
        with self.security.admitting(name, number, settings, grant=False, who=user(), why=""):
            return serving.replay(number, component, settings)

    def next_number(self, name: str) -> int:
        """Return the number that the next revision of a deployment would have."""
        return self._state.registry.next_number(name)

    def revision(self, name: str, number: int) -> Revision:
        """Return one revision of a deployment."""
        return self._state.registry.revision(name, number)

    def try_out(self, name: str, content: bytes, component: Component, settings: Settings) -> bool:
        """Link and start a component once, with no rights, and drop the instance again.

        Raises:
            UnknownImport: Nothing provides an import of the component.
            Trap: It trapped while it was instantiated.
            LimitExceeded: It needs more than its limits allow.
        """
        settings = self.intake.completed(content, name, settings)
        serving = self._new_serving(f"{name}/dry-run")
        try:
            serving.prepare(0, component, settings)
        finally:
            serving.close()
            self.ledger.end(serving.name, serving.usage())
        return True

    def _settle(self, name: str, promote: bool) -> None:
        """Take the loser of a deployment's rollout off."""
        with self.deployments.change(name) as serving:
            serving.end_trial(promote=promote)
            self.security.keep(name, serving.numbers)

    def find_revisions(self, query: RevisionQuery) -> tuple[FoundRevision, ...]:
        """Return the revisions that a query is about."""
        return find_revisions(self._state.registry, query)

    def history(self, name: str) -> tuple[Revision, ...]:
        """Return every revision of a deployment, the first one first."""
        self.deployments.serving(name)
        return self._state.registry.revisions(name)

    def rollouts(self, name: str) -> tuple[RolloutRecord, ...]:
        """Return every movement of a deployment between revisions, the first one first."""
        self.deployments.serving(name)
        return self._state.registry.rollouts(name)

    def statistics(self, serving: Serving) -> DeploymentStatistics:
        """Return what the calls of a deployment came to."""
        self.check()
        return serving.statistics()

    def usage(self, namespace: str | None = None) -> Usage:
        """Return what a namespace used since the host was opened, or the whole host."""
        self.check()
        found = {
            each.name: each.usage() for each in list(self.deployments.all.values()) if each.revision
        }
        if namespace is None:
            return self.ledger.host_usage(found.values())
        own = [used for name, used in found.items() if namespace_of(name) == namespace]
        return self.ledger.namespace_usage(namespace, own)

    def close(self, timeout: float | None = None) -> None:
        """Take no calls any more, wait for those that run, and give the state directory up.

        Args:
            timeout: Seconds to wait before calls that run are ended; each deployment's drain
                deadline where it is None. Does nothing the second time.
        """
        if os.getpid() != self._process or self._closed:
            return
        self.delivery.close()
        self._closed = True
        servings = list(self.deployments.all.values())
        began = time.monotonic()
        # No request finds the host half closed; those under way have their calls drained below.
        self.ingresses.close(_longest_drain(servings) if timeout is None else timeout)
        for serving in servings:
            serving.close()
        for serving in servings:
            # Waits for a deploy that is under way: it finds the host closed and records nothing.
            with serving.one_change:
                seconds = serving.revision.settings.drain if serving.revision else 0.0
                if timeout is not None:
                    seconds = timeout
                serving.drain(max(0.0, began + seconds - time.monotonic()))
        self.actors.close()
        with self._storing:
            self._end()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def check(self) -> None:
        """Refuse to go on in a forked child, and once the host is closed.

        Raises:
            ForkedHostError: This process is not the one that opened the host.
            HostClosed: `close` was called.
        """
        if os.getpid() != self._process:
            raise ForkedHostError(
                "this host was opened by another process, before a fork; "
                "open it after the fork, or start workers with 'spawn' or 'forkserver'"
            )
        if self._closed:
            raise HostClosed(f"the host on {self.directory} is closed", hint="open it again")

    def _new_serving(self, name: str) -> Serving:
        return Serving(
            name, self._provides, self._storage, self.security, self.ledger, self.actors.logs
        )

    def _bring_back_all(self, only: Collection[str] | None) -> None:
        registry = self._state.registry
        live = [
            (record, registry.revision(record.name, record.live))
            for record in registry.deployments()
            if only is None or record.name in only
        ]
        # Before any of them runs, and at once for all.
        self.security.restore([(record, revision.settings) for record, revision in live])
        for record, revision in live:
            self._bring_back(record.name, revision)

    def _bring_back(self, name: str, revision: Revision) -> None:
        serving = self.deployments.all[name] = self._new_serving(name)
        killed = self.switches.locks.find(KILLED)
        if killed is not None:
            reason = killed.why or "no reason given"
            serving.hold(revision, f"every guest of the host was stopped: {reason}")
            return
        serving.revision = revision
        self._run_live(serving)
        self._go_on(serving)

    def _run_live(self, serving: Serving) -> None:
        """Run the live revision of a deployment that runs nothing, or hold it."""
        name, revision = serving.name, serving.revision
        assert revision is not None, "what has no revision is not run"  # noqa: S101
        number = revision.number
        try:
            component = self.intake.load(self.intake.readmitted(name, revision))
            prepared = serving.prepare(number, component, revision.settings)
            with self._moves.move(serving, prepared) as moved:
                moved.set()
        except (AirsSysError, OSError, ValueError) as error:
            # One that cannot run must not keep the others away.
            serving.hold(revision, f"revision {number} cannot be brought back: {error}")
            self.events.tell("held", name, why=str(error))
            _log.error("deployment '%s' is held: %s", name, error)
        else:
            serving.switch(revision, prepared)

    def _go_on(self, serving: Serving) -> None:
        """Go on with the rollout of a deployment in the midst of which the host ended."""
        name = serving.name
        rollout = self.delivery.store.open(name)
        if rollout is None:
            return
        if serving.held is not None:
            self.delivery.give_up(rollout, f"the live revision is held: {serving.held}")
            return
        try:
            revision = self._state.registry.revision(name, rollout.to_revision)
            component = self.intake.load(self.intake.readmitted(name, revision))
            with self.security.admitting(
                name, revision.number, revision.settings, grant=False, who="host", why=""
            ) as (_, admission):
                prepared = serving.prepare(revision.number, component, revision.settings)
                admission.set()
        except (AirsSysError, OSError, ValueError) as error:
            self.delivery.give_up(rollout, f"it does not start any more: {error}")
            return
        self.delivery.go_on(serving, rollout, revision, prepared)


def _longest_drain(servings: list[Serving]) -> float:
    return max((each.revision.settings.drain for each in servings if each.revision), default=0.0)


def _abandon(
    process: int,
    state: StateDirectory,
    servings: dict[str, Serving],
    storage: StorageHolder,
    security: HostSecurity,
    ledger: Ledger,
) -> None:
    if os.getpid() != process:
        return  # a forked child: the database and the lock are the parent's
    for serving in servings.values():
        serving.close()
    with contextlib.ExitStack() as closing:
        closing.callback(ledger.close)
        closing.callback(state.close)
        closing.callback(security.close)
        closing.callback(storage.close)
