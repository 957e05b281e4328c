"""What changes which revision of a deployment is live: deploy, roll back, renew, remove."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING, Final

from airssys.errors import AirsSysError
from airssys.wasm._native import ShortTurns
from airssys.wasm.blobs import digest_of
from airssys.wasm.delivery.dependencies import (
    check_dependants,
)
from airssys.wasm.delivery.errors import RevisionCollected
from airssys.wasm.delivery.replay import refuse_differing
from airssys.wasm.delivery.strategies import BlueGreen, Recreate, Stepwise, check_strategy
from airssys.wasm.deployment_name import check_deployment_name
from airssys.wasm.host_inputs import user
from airssys.wasm.revision import NewRevision, Settings
from airssys.wasm.security.host_security import BY_FILE, HostSecurity

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from airssys.wasm.actors.hooks import Hooks
    from airssys.wasm.actors.host_actors import HostActors
    from airssys.wasm.actors.moves import ActorMoves
    from airssys.wasm.actors.records import ActorRecords
    from airssys.wasm.component import Component
    from airssys.wasm.contracts.contract import Contract
    from airssys.wasm.delivery.desk import RolloutDesk
    from airssys.wasm.delivery.locks import Locks
    from airssys.wasm.delivery.strategies import Strategy
    from airssys.wasm.host_events import HostEvents
    from airssys.wasm.host_inputs import Source
    from airssys.wasm.host_intake import Intake
    from airssys.wasm.open_deployments import OpenDeployments
    from airssys.wasm.revision import Revision
    from airssys.wasm.security.review import Reviewed
    from airssys.wasm.serving import Prepared, Serving
    from airssys.wasm.state_directory import StateDirectory
    from airssys.wasm.storage_holder import StorageHolder

__all__ = ["HostChanges"]

_log: Final = logging.getLogger("airssys.wasm")


@dataclasses.dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
class HostChanges:
    """The changes of one open host. Every method may be called by any thread.

    One deployment has one change at a time; what fails leaves everything as it was.

    Attributes:
        check: Refuses to go on once the host is closed.
        deployments: What runs.
        state: The open state directory.
        storing: Held while a component is between its arrival and its record.
        intake: What becomes of a component before it runs.
        security: What the deployments may do.
        locks: What is locked against changes.
        delivery: The rollouts that are under way.
        actors: Where actors run.
        records: Which actors there are.
        moves: Takes actors from one revision to another.
        storage: What the deployments store.
        events: To whom it is told.
    """

    check: Callable[[], None]
    deployments: OpenDeployments
    state: StateDirectory
    storing: threading.Lock
    intake: Intake
    security: HostSecurity
    locks: Locks
    delivery: RolloutDesk
    actors: HostActors
    records: ActorRecords
    moves: ActorMoves
    storage: StorageHolder
    events: HostEvents

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
        with self.deployments.change(name) as serving:
            self.locks.check(name)
            self.delivery.refuse_open(name)
            if self._is_live(serving, digest, content, settings, inherited=inherited):
                serving.contract = contract or serving.contract
                again = None if not grant else self.intake.approved(content, name, approved)
                self._deployed_again(serving, again, grant, hooks, who=who, why=why)
                return serving
            self._refuse_strategy(name, content, settings, strategy, inherited=inherited)
            admitted = self.intake.admit(content, digest, name, allow_downgrade=allow_downgrade)
            component = self.intake.compile(content, given_up, source)
            # After the compiler, which says best what is no component.
            effective = self.intake.fitting(content, name, settings, inherited=inherited)
            filed = frozenset() if grant is False else self.intake.filed_grants(name, effective)
            described, depends = self.intake.depending(name, content, component)
            about = self.intake.approved(content, name, approved)
            number = self.state.registry.next_number(name)
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
                    with self.storing:
                        self.check()
                        self.state.blobs.put(content, digest)
                        self.delivery.begin(serving, new, prepared, strategy)
                        admission.set()
                else:
                    with self.moves.move(serving, prepared) as moved, self.storing:
                        if given_up is not None and given_up.is_set():
                            return serving
                        self.check()
                        self.state.blobs.put(content, digest)
                        record, revision = self.state.registry.record_deploy(
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
        live = self.deployments.live(name)
        if live is not None:
            keys = len(self.records.keys(name))
            check_strategy(name, strategy, settings, live.settings, keys)

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
        self.deployments.serving(name)
        self.locks.check(name)
        moving = self.delivery.end(name, who=who or user(), why=why or "rolled back")
        if moving and to is None:
            return  # to what is live: nothing else is
        with self.deployments.change(name) as serving:
            registry = self.state.registry
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
                with self.moves.move(serving, prepared) as moved:
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
        self.deployments.serving(name)
        self.locks.check(name)
        self.delivery.end(name, who=who or user(), why=why or "removed")
        with self.deployments.change(name) as serving:
            self.delivery.refuse_open(name)
            revision = serving.revision
            with self.storing:
                self.state.registry.record_remove(name, who=who or user(), why=why)
                serving.revision = None
                serving.close()
                self.state.collect()
            self.actors.close_fleet(name)
            serving.drain(revision.settings.drain if revision else 0)
            self.security.forget(name, who=who or user(), why=why)
            # Killed before this, the next opening of the storage does it.
            self.storage.clear(name)
            self.events.tell("removed", name, who=who or user(), why=why)

    def renew(self, name: str) -> None:
        """Put fresh instances in the place of all that a deployment has."""
        self.delivery.end(name, who=user(), why="a right was revoked")
        with self.deployments.change(name) as serving:
            revision, component = serving.revision, serving.component
            if revision is None or component is None:
                return
            hooks = None if serving.make is None else serving.make.hooks
            settings = revision.settings
            try:
                prepared = serving.prepare(revision.number, component, settings, hooks)
                with self.moves.move(serving, prepared) as moved:
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

    def _switch(self, serving: Serving, revision: Revision, prepared: Prepared) -> None:
        if prepared.make is None:
            self.actors.close_fleet(serving.name)
        elif serving.make is None:
            self.records.add(serving.name, "")
        serving.switch(revision, prepared)
        self.security.keep(serving.name, serving.numbers)


def _making_room(
    serving: Serving, strategy: Strategy | None
) -> contextlib.AbstractContextManager[None]:
    """End what is live before something else takes its place, where the strategy says so."""
    if isinstance(strategy, Recreate) and serving.takes_calls:
        return serving.recreating(strategy.wait)
    return contextlib.nullcontext()
