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
from airssys.wasm._native import ShortTurns, build_info
from airssys.wasm.actors.host_actors import HostActors
from airssys.wasm.actors.moves import ActorMoves
from airssys.wasm.actors.records import ActorRecords
from airssys.wasm.backup.make import BackupMaker
from airssys.wasm.blobs import digest_of
from airssys.wasm.contracts.offers import offered
from airssys.wasm.delivery.dependencies import (
    check_dependants,
)
from airssys.wasm.delivery.desk import RolloutDesk
from airssys.wasm.delivery.errors import RevisionCollected
from airssys.wasm.delivery.locks import KILLED
from airssys.wasm.delivery.replay import refuse_differing
from airssys.wasm.delivery.strategies import BlueGreen, Recreate, Stepwise, check_strategy
from airssys.wasm.deployment_name import check_deployment_name, namespace_of
from airssys.wasm.engine import Engine
from airssys.wasm.errors import ForkedHostError
from airssys.wasm.host_errors import (
    DeploymentHeld,
    DeploymentIsActor,
    DeploymentIsNoActor,
    HostClosed,
    InvalidSetting,
    UnknownDeployment,
)
from airssys.wasm.host_events import HostEvents
from airssys.wasm.host_inputs import user
from airssys.wasm.host_intake import Intake
from airssys.wasm.host_rights import HostRights
from airssys.wasm.host_switches import HostSwitches
from airssys.wasm.ingress import Ingresses
from airssys.wasm.quotas import Ledger
from airssys.wasm.revision import NewRevision, Settings
from airssys.wasm.revision_search import find_revisions
from airssys.wasm.security.host_security import BY_FILE, HostSecurity
from airssys.wasm.security.security_settings import SecuritySettings
from airssys.wasm.serving import Serving, quota_of
from airssys.wasm.state_directory import StateDirectory
from airssys.wasm.storage_blocking import BlockingStorage
from airssys.wasm.storage_holder import StorageHolder, StorageSettings
from airssys.wasm.trust.admissions import Admissions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from airssys.osl import OSL
    from airssys.wasm.accounting import DeploymentStatistics
    from airssys.wasm.actors.fleet import Fleet
    from airssys.wasm.actors.hooks import Hooks
    from airssys.wasm.component import Component
    from airssys.wasm.contracts.contract import Contract
    from airssys.wasm.delivery.replay import ReplayReport
    from airssys.wasm.delivery.strategies import Strategy
    from airssys.wasm.host_inputs import Source
    from airssys.wasm.manifest.configuration import Configuration
    from airssys.wasm.quotas import HostCeilings, Usage
    from airssys.wasm.registry import Registry
    from airssys.wasm.revision import Revision, RolloutRecord
    from airssys.wasm.revision_search import FoundRevision, RevisionQuery
    from airssys.wasm.security.review import Reviewed
    from airssys.wasm.serving import Prepared
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
        self._servings: dict[str, Serving] = {}
        self.intake = Intake(
            self._state,
            configuration,
            admissions,
            self.security,
            Engine(),
            self._servings,
            self.check,
            lambda: self._closed,
        )
        self.security.replace_with(self.renew)
        self.ingresses = Ingresses()
        self.actors = actors or HostActors()
        self.actors.keep_logs(self._state.path / "logs")
        self._records = ActorRecords(self._state.registry)
        self._moves = ActorMoves(self.actors, self._records, self.events, lambda: self._closed)
        self.rights = HostRights(
            self.security, self._state.registry, self.serving, self.renew, self.events
        )
        self.delivery = RolloutDesk(self.actors, self._state.registry, self._settle)
        self._one_addition = threading.Lock()
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
            self._servings,
            self._run_live,
        )
        self.locks = self.switches.locks
        # A host that was never closed still ends before the interpreter does.
        self._end = weakref.finalize(
            self,
            _abandon,
            self._process,
            self._state,
            self._servings,
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
        serving = self._servings.get(name)
        if serving is not None and serving.quota is not None and serving.revision is not None:
            return serving.quota
        registry = self._state.registry
        return quota_of(registry.revision(name, registry.deployment(name).live).settings)

    def names(self) -> tuple[str, ...]:
        """Return the names of the deployments, sorted."""
        self.check()
        return tuple(sorted(name for name, each in list(self._servings.items()) if each.revision))

    def serving(self, name: str) -> Serving:
        """Return the live side of a deployment.

        Raises:
            UnknownDeployment: There is none of this name.
        """
        self.check()
        serving = self._servings.get(name)
        if serving is None or serving.revision is None:
            known = self._state.registry.deployments()
            raise UnknownDeployment(name, [each.name for each in known])
        return serving

    def live(self, name: str) -> Revision | None:
        """Return the live revision of a deployment, or None where there is no such deployment."""
        self.check()
        serving = self._servings.get(name)
        return serving.revision if serving else None

    def refuse_held(self, serving: Serving) -> None:
        """Raise what explains why a deployment takes no calls, if it takes none."""
        self.check()
        if serving.held is not None:
            raise DeploymentHeld(
                f"deployment '{serving.name}' is held: {serving.held}",
                hint="deploy a component that runs, or roll back",
                name=serving.name,
            )

        if serving.make is not None:
            raise DeploymentIsActor(
                f"deployment '{serving.name}' is an actor and takes messages, not calls",
                hint="deployment.actor().ask(...), or `airssys ask`",
                name=serving.name,
            )

    def fleet(self, serving: Serving) -> Fleet:
        """Return the actors of a deployment.

        Raises:
            DeploymentHeld: They were restarted too often, or could not be brought back.
            DeploymentIsNoActor: The deployment takes calls.
        """
        fleet = self.actors.fleet(serving.name)
        if fleet is None:
            if serving.make is None:
                self.refuse_held(serving)
            raise DeploymentIsNoActor(
                f"deployment '{serving.name}' takes calls, not messages",
                hint="deploy it with lifetime='actor', or call it",
                name=serving.name,
            )
        return fleet

    def deploy(
        self,
        source: Source | None,
        *,
        name: str,
        settings: Settings,
        hooks: Hooks | None = None,
        who: str | None = None,
        why: str = "",
        allow_downgrade: bool = False,
        grant: bool | None = None,
        approved: Reviewed | None = None,
        inherited: bool = False,
        given_up: threading.Event | None = None,
        strategy: Strategy | None = None,
        contract: Contract | None = None,
    ) -> Serving:
        """Make a component the live revision of a deployment, which is made where it is missing.

        In this order: read, compile, instantiate once, store durably, switch. What fails leaves
        everything as it was. Deploying what is live, with the same settings, changes nothing.

        Args:
            source: A path, or the component itself; None for the one in the operator's file.
            name: The deployment.
            settings: How it is run, as far as that was said.
            hooks: What is called at the turns of its actors' life.
            who: Who deploys; the user of this process by default.
            why: The reason, for the history.
            allow_downgrade: Let in a signed version that is lower than one the name has had.
            grant: Grant what it asks for, or no more than before; None grants what the operator's
                file says.
            approved: What `review` showed to who grants it; anything else is not granted.
            inherited: The capabilities in `settings` are what an earlier component asked for.
            given_up: Set by a caller who no longer waits; nothing is recorded then, and a child
                process that compiles is killed.
            strategy: How it takes over from the live one; by default as the operator's file says,
                else at once. At once too where there is no live one that takes calls.
            contract: The contract in `settings`, as the classes of this program have it.

        Raises:
            ContractMismatch: It does not implement the contract.
            RolloutInProgress: The deployment is being moved to another revision.
            StrategyUnsupported: The strategy cannot move it.
        """
        self.check()
        check_deployment_name(name)
        with ShortTurns():  # every step of reading a file waits for the interpreter
            content = self.intake.content(source, name)
            digest = digest_of(content)
        who = who or user()
        strategy = self.intake.strategy(name, strategy)
        with self._change(name) as serving:
            self.locks.check(name)
            self.delivery.refuse_open(name)
            if self._is_live(serving, digest, content, settings, inherited=inherited):
                serving.contract = contract or serving.contract
                again = None if not grant else self.intake.approved(content, name, approved)
                self._deployed_again(serving, again, grant, hooks, who=who, why=why)
                return serving
            self._refuse_strategy(name, content, settings, strategy, inherited=inherited)
            admitted = self.intake.admit(content, name, allow_downgrade=allow_downgrade)
            component = self.intake.compile(content, given_up)
            # After the compiler, which says best what is no component.
            effective = self.intake.fitting(content, name, settings, inherited=inherited)
            filed = frozenset() if grant is False else self.intake.filed_grants(name, effective)
            described, depends = self.intake.depending(name, content, component)
            about = self.intake.approved(content, name, approved)
            number = self._state.registry.next_number(name)
            with (
                contextlib.ExitStack() as undoing,
                self.security.admitting(
                    name, number, effective, grant=bool(grant), filed=filed, who=who, why=why
                ) as (identity, admission),
            ):
                self._replay(serving, number, component, effective)
                undoing.enter_context(_making_room(serving, strategy))
                prepared = serving.prepare(number, component, effective, hooks)
                new = NewRevision(
                    digest=digest,
                    size=len(content),
                    settings=effective,
                    who=who,
                    why=why,
                    version=admitted.version,
                    signer=admitted.key,
                    about=described,
                    dependencies=depends,
                )
                revision = None
                if isinstance(strategy, Stepwise) and serving.takes_calls:
                    with self._storing:
                        self.check()
                        self._state.blobs.put(content)
                        self.delivery.begin(serving, new, prepared, strategy)
                        admission.set()
                else:
                    with self._moves.move(serving, prepared) as moved, self._storing:
                        if given_up is not None and given_up.is_set():
                            return serving
                        self.check()
                        self._state.blobs.put(content)
                        record, revision = self._state.registry.record_deploy(
                            name, new, identity=identity
                        )
                        moved.set()
                        admission.set()
                        self.security.identify(name, record.id)
                if grant:
                    self.security.record_approval(name, about, effective, who=who, why=why)
                serving.contract = contract or serving.contract
                if revision is not None:
                    self._switch(serving, revision, prepared)
            self.events.tell("deployed", name, revision=number, digest=digest, who=who, why=why)
            return serving

    def _is_live(
        self, serving: Serving, digest: str, content: bytes, settings: Settings, *, inherited: bool
    ) -> bool:
        """Tell whether a component is what a deployment runs, in the same way."""
        live = serving.revision
        return (
            live is not None
            and serving.held is None
            and live.digest == digest
            and live.settings
            == self.intake.effective(content, serving.name, settings, inherited=inherited)
        )

    def _replay(
        self, serving: Serving, number: int, component: Component, settings: Settings
    ) -> None:
        """Make recorded calls again on what is to be a revision, and tell what came of it.

        Raises:
            ReplayDiffers: It answers otherwise, and is to be refused then.
            ShadowUnsafe: A host function is called, of which nobody knows what it does.
        """
        report = serving.replay(number, component, settings)
        if report is None:
            return
        facts = {key: getattr(report, key) for key in ("same", "different", "unrepeatable")}
        self.events.tell("replayed", serving.name, revision=number, **facts)
        refuse_differing(serving.name, settings.replay, report)
        if report.different:
            _log.warning("revision %d of '%s' goes live: %s", number, serving.name, report)

    def replay_for_plan(
        self, name: str, component: Component, settings: Settings
    ) -> ReplayReport | None:
        """Make the calls that a deployment keeps again on what would be its next revision.

        Raises:
            ShadowUnsafe: A host function is called, of which nobody knows what it does.
        """
        serving = self._servings.get(name)
        if serving is None or serving.revision is None:
            return None
        number = self.next_number(name)
        # With the rights that it would have, and has no longer than this.
        with self.security.admitting(name, number, settings, grant=False, who=user(), why=""):
            return serving.replay(number, component, settings)

    def _deployed_again(
        self,
        serving: Serving,
        about: Reviewed | None,
        grant: bool | None,
        hooks: Hooks | None,
        *,
        who: str,
        why: str,
    ) -> None:
        """Do what a deploy of what is live changes: grants, and what is called of its actors."""
        name, live = serving.name, serving.revision
        assert live is not None, "it is what was deployed"  # noqa: S101
        settings = live.settings
        if grant is None:
            filed = self.intake.filed_grants(name, settings)
            self.security.grant_requested(name, settings, filed, who=who, why=BY_FILE)
        if about is not None:
            self.security.grant_requested(name, settings, None, who=who, why=why)
            self.security.record_approval(name, about, settings, who=who, why=why)
        if hooks is not None:
            self.actors.set_hooks(name, hooks)

    def check_movable(self, name: str, settings: Settings, strategy: Strategy) -> None:
        """Refuse to move a deployment that is being moved, or cannot be by the strategy.

        Raises:
            DeploymentLocked: It is locked against changes.
            RolloutInProgress: It is being moved.
            StrategyUnsupported: It cannot be.
        """
        self.locks.check(name)
        self.delivery.refuse_open(name)
        self._check_strategy(name, settings, strategy)

    def _refuse_strategy(
        self, name: str, content: bytes, settings: Settings, strategy: Strategy, *, inherited: bool
    ) -> None:
        if not isinstance(strategy, BlueGreen):  # which can move anything
            whole = self.intake.effective(content, name, settings, inherited=inherited)
            self._check_strategy(name, whole, strategy)

    def _check_strategy(self, name: str, settings: Settings, strategy: Strategy) -> None:
        live = self.live(name)
        if live is not None:
            keys = len(self._records.keys(name))
            check_strategy(name, strategy, settings, live.settings, keys)

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
        with self._change(name) as serving:
            serving.end_trial(promote=promote)
            self.security.keep(name, serving.numbers)

    def rollback(self, name: str, to: int | None, *, who: str | None = None, why: str = "") -> None:
        """Make an earlier revision live again.

        Args:
            name: The deployment.
            to: The revision, or None for the one that the live revision replaced; while the
                deployment is being moved, for the live one itself.
            who: Who rolls back; the user of this process by default.
            why: The reason, for the history.

        Raises:
            UnknownRevision: There is no revision `to`.
            NothingToRollBackTo: `to` is None and the live revision replaced nothing.
        """
        self.serving(name)
        self.locks.check(name)
        moving = self.delivery.end(name, who=who or user(), why=why or "rolled back")
        if moving and to is None:
            return  # to what is live: nothing else is
        with self._change(name) as serving:
            registry = self._state.registry
            self.delivery.refuse_open(name)
            revision = registry.rollback_target(name, to)
            if revision.collected:
                raise RevisionCollected(
                    f"the component of revision {revision.number} of '{name}' was deleted, as the"
                    " retention says",
                    hint="deploy it again from its file",
                    name=name,
                    revision=revision.number,
                )
            check_dependants(name, revision.about, registry)
            if revision == serving.revision and serving.held is None:
                return
            component = serving.warm(revision.number)
            if component is None or self.intake.verifies:
                content = self.intake.readmitted(name, revision)
                component = component or self.intake.compile(content, None)
            self.intake.check_imports(name, component)
            hooks = None if serving.make is None else serving.make.hooks
            who = who or user()
            with self.security.admitting(
                name, revision.number, revision.settings, grant=False, who=who, why=why
            ) as (_, admission):
                prepared = serving.prepare(revision.number, component, revision.settings, hooks)
                with self._moves.move(serving, prepared) as moved:
                    registry.record_rollback(name, revision.number, who=who, why=why)
                    moved.set()
                    admission.set()
            self._switch(serving, revision, prepared)
            self.events.tell("rolled-back", name, revision=revision.number, who=who, why=why)

    def remove(self, name: str, *, who: str | None = None, why: str = "") -> None:
        """End a deployment: it takes no calls, those that run have until its drain deadline.

        Returns when the last has ended. Its components and what it stored are deleted, its history
        is kept.
        """
        self.serving(name)
        self.locks.check(name)
        self.delivery.end(name, who=who or user(), why=why or "removed")
        with self._change(name) as serving:
            self.delivery.refuse_open(name)
            revision = serving.revision
            with self._storing:
                self._state.registry.record_remove(name, who=who or user(), why=why)
                serving.revision = None
                serving.close()
                self._state.collect()
            self.actors.close_fleet(name)
            serving.drain(revision.settings.drain if revision else 0)
            self.security.forget(name, who=who or user(), why=why)
            # Killed before this, the next opening of the storage does it.
            self._storage.clear(name)
            self.events.tell("removed", name, who=who or user(), why=why)

    def renew(self, name: str) -> None:
        """Put fresh instances in the place of all that a deployment has."""
        self.delivery.end(name, who=user(), why="a right was revoked")
        with self._change(name) as serving:
            revision, component = serving.revision, serving.component
            if revision is None or component is None:
                return
            hooks = None if serving.make is None else serving.make.hooks
            settings = revision.settings
            try:
                prepared = serving.prepare(revision.number, component, settings, hooks)
                with self._moves.move(serving, prepared) as moved:
                    moved.set()
            except (AirsSysError, OSError, ValueError) as error:
                # What it has must go all the same.
                serving.hold(revision, f"it does not start without what was revoked: {error}")
                self.events.tell("held", name, why=str(error))
                self.actors.close_fleet(name)
                serving.drain(settings.drain)
                return
            self._switch(serving, revision, prepared)
            serving.settle(settings.drain)

    def find_revisions(self, query: RevisionQuery) -> tuple[FoundRevision, ...]:
        """Return the revisions that a query is about."""
        return find_revisions(self._state.registry, query)

    def history(self, name: str) -> tuple[Revision, ...]:
        """Return every revision of a deployment, the first one first."""
        self.serving(name)
        return self._state.registry.revisions(name)

    def rollouts(self, name: str) -> tuple[RolloutRecord, ...]:
        """Return every movement of a deployment between revisions, the first one first."""
        self.serving(name)
        return self._state.registry.rollouts(name)

    def statistics(self, serving: Serving) -> DeploymentStatistics:
        """Return what the calls of a deployment came to."""
        self.check()
        return serving.statistics()

    def usage(self, namespace: str | None = None) -> Usage:
        """Return what a namespace used since the host was opened, or the whole host."""
        self.check()
        found = {each.name: each.usage() for each in list(self._servings.values()) if each.revision}
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
        servings = list(self._servings.values())
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

    @contextlib.contextmanager
    def _change(self, name: str) -> Iterator[Serving]:
        """Be the one who changes the deployment of this name, which may have no revision yet."""
        while True:
            with self._one_addition:
                serving = self._servings.setdefault(name, self._new_serving(name))
            with serving.one_change:
                # Removed while this waited: the name is another deployment's now.
                if serving.gone:
                    continue
                try:
                    self.check()
                    with ShortTurns():
                        yield serving
                    if serving.revision is not None:
                        self.ingresses.changed(serving)
                finally:
                    if serving.revision is None:
                        serving.gone = True
                        self.ledger.end(name, serving.usage())
                        with self._one_addition:
                            del self._servings[name]
                return

    def _switch(self, serving: Serving, revision: Revision, prepared: Prepared) -> None:
        if prepared.make is None:
            self.actors.close_fleet(serving.name)
        elif serving.make is None:
            self._records.add(serving.name, "")
        serving.switch(revision, prepared)
        self.security.keep(serving.name, serving.numbers)

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
        serving = self._servings[name] = self._new_serving(name)
        killed = self.locks.find(KILLED)
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


def _making_room(
    serving: Serving, strategy: Strategy | None
) -> contextlib.AbstractContextManager[None]:
    """End what is live before something else takes its place, where the strategy says so."""
    if isinstance(strategy, Recreate) and serving.takes_calls:
        return serving.recreating(strategy.wait)
    return contextlib.nullcontext()


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
