"""A host for programs without an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from airssys.wasm.actors.live import look_at
from airssys.wasm.contracts.offers import needed
from airssys.wasm.delivery.plan import plan_of
from airssys.wasm.deployment_blocking import BlockingDeployment
from airssys.wasm.host_core import HostCore
from airssys.wasm.host_inputs import wanted
from airssys.wasm.ingress import BlockingIngress
from airssys.wasm.manifest.configuration import Configuration
from airssys.wasm.revision_search import RevisionQuery
from airssys.wasm.security.security_settings import SecuritySettings
from airssys.wasm.settings import settings_from

if TYPE_CHECKING:
    import datetime as dt
    import os
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from airssys.osl import OSL, Approver
    from airssys.wasm.actors.hooks import Hooks
    from airssys.wasm.actors.live import LiveActor
    from airssys.wasm.actors.settings import ActorSettings
    from airssys.wasm.backup.archive import BackupInfo
    from airssys.wasm.contracts.contract import Contract
    from airssys.wasm.delivery.locks import Lock
    from airssys.wasm.delivery.plan import Plan
    from airssys.wasm.delivery.replay import Replay
    from airssys.wasm.delivery.strategies import Strategy
    from airssys.wasm.host_inputs import Source
    from airssys.wasm.ingress import HttpLimits, HttpRoute
    from airssys.wasm.limits import Limits
    from airssys.wasm.quotas import Ceilings, HostCeilings, LimitNotice, Usage
    from airssys.wasm.revision import Enforcement, Lifetime, Settings
    from airssys.wasm.revision_search import FoundRevision
    from airssys.wasm.secrets import SecretSource
    from airssys.wasm.security.inputs import Asked
    from airssys.wasm.security.review import Review, Reviewed
    from airssys.wasm.security.security_settings import PolicyGiven
    from airssys.wasm.settings import Mounts
    from airssys.wasm.storage_blocking import BlockingStorage
    from airssys.wasm.storage_holder import StorageSettings
    from airssys.wasm.trust import Admission

__all__ = ["BlockingHost"]


class BlockingHost:
    """An open state directory and its deployments; made by `Host.open_blocking`.

    The same as `Host`, where every method blocks. Safe to use from several threads.
    """

    __slots__ = ("__weakref__", "_core")

    def __init__(self, core: HostCore) -> None:
        self._core = core

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str] | None = None,
        *,
        configuration: str | os.PathLike[str] | Configuration | None = None,
        provides: Mapping[Any, Any] | None = None,
        admission: Admission | None = None,
        storage: StorageSettings | None = None,
        ceilings: HostCeilings | None = None,
        policy: PolicyGiven | None = None,
        osl: OSL | None = None,
        approver: Approver | None = None,
        approval_timeout: float = 60.0,
        development: bool = False,
        secrets: SecretSource | None = None,
    ) -> Self:
        """Open a state directory; see `Host.open_blocking`."""
        security = SecuritySettings(
            policy=policy,
            osl=osl,
            approver=approver,
            approval_timeout=approval_timeout,
            development=development,
            secrets=secrets,
        )
        core = HostCore(
            directory,
            provides,
            admission=admission,
            storage=storage,
            ceilings=ceilings,
            security=security,
            configuration=Configuration.of(configuration),
        )
        return cls(core)

    @property
    def directory(self) -> Path:
        """The state directory, absolute."""
        return self._core.directory

    @property
    def osl(self) -> OSL:
        """The system whose gate decides; see `Host.osl`."""
        return self._core.osl

    @property
    def storage(self) -> BlockingStorage:
        """What the deployments store; see `Host.storage`."""
        return self._core.storage

    def deploy(
        self,
        source: Source | None = None,
        *,
        name: str,
        lifetime: Lifetime | None = None,
        limits: Limits | None = None,
        instances: int | None = None,
        drain: float | None = None,
        keep: int | None = None,
        actor: ActorSettings | None = None,
        ceilings: Ceilings | None = None,
        hooks: Hooks | None = None,
        capabilities: Asked | None = None,
        mounts: Mounts | None = None,
        environment: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        grant: Literal["requested", "none"] | None = None,
        enforcement: Enforcement | None = None,
        observe_until: dt.datetime | None = None,
        who: str | None = None,
        why: str = "",
        allow_downgrade: bool = False,
        strategy: Strategy | None = None,
        implements: object = None,
        replay: Replay | None = None,
    ) -> BlockingDeployment:
        """Make a component the live revision of a deployment; see `Host.deploy`.

        `KeyboardInterrupt` leaves everything as it was.
        """
        settings = settings_from(
            lifetime=lifetime,
            limits=limits,
            instances=instances,
            drain=drain,
            keep=keep,
            actor=actor,
            ceilings=ceilings,
            capabilities=capabilities,
            mounts=mounts,
            environment=environment,
            config=config,
            enforcement=enforcement,
            observe_until=observe_until,
            implements=implements,
            replay=replay,
        )
        return self._deploy(
            source,
            name,
            settings,
            hooks,
            who,
            why,
            allow_downgrade=allow_downgrade,
            grant=grant,
            strategy=strategy,
            contract=needed(implements),
        )

    def stored(self, digest: str) -> bytes:
        """Return a component that the state directory holds.

        Raises:
            ComponentDamaged: It is not there, or not what it was.
        """
        return self._core.intake.stored(digest)

    def serve_http(
        self, listen: str, *, routes: Sequence[HttpRoute], limits: HttpLimits | None = None
    ) -> BlockingIngress:
        """Listen for HTTP requests for deployments; see `Host.serve_http`."""
        self._core.check()
        return BlockingIngress(self._core, listen, routes, limits)

    def review(
        self,
        source: Source,
        *,
        name: str,
        settings: Settings,
        allow_downgrade: bool = False,
        inherited: bool = False,
    ) -> Review:
        """Return what a component would ask for as a revision of a deployment; nothing changes.

        Args:
            source: A path, or the component itself.
            name: The deployment, which need not exist.
            settings: How it would be run.
            allow_downgrade: Let in a lower signed version.
            inherited: The capabilities in `settings` are what an earlier component asked for.
        """
        return self._core.intake.review(
            source,
            name=name,
            settings=settings,
            allow_downgrade=allow_downgrade,
            inherited=inherited,
        )

    def plan(
        self,
        source: Source,
        *,
        name: str,
        settings: Settings,
        strategy: Strategy | None = None,
        allow_downgrade: bool = False,
        inherited: bool = False,
    ) -> Plan:
        """Return what deploying a component would change; nothing is.

        Args:
            source: A path, or the component itself.
            name: The deployment, which need not exist.
            settings: How it would be run.
            strategy: How it would take over; by default as the operator's file says.
            allow_downgrade: Let in a lower signed version.
            inherited: The capabilities in `settings` are what an earlier component asked for.
        """
        return plan_of(
            self._core,
            source,
            name=name,
            settings=settings,
            strategy=strategy,
            allow_downgrade=allow_downgrade,
            inherited=inherited,
        )

    def deployment(self, name: str) -> BlockingDeployment:
        """Return a deployment; see `Host.deployment`."""
        return BlockingDeployment(self, self._core, self._core.deployments.serving(name))

    def deployments(self) -> tuple[BlockingDeployment, ...]:
        """Return the deployments, by name."""
        return tuple(self.deployment(name) for name in self._core.deployments.names())

    def usage(self, namespace: str | None = None) -> Usage:
        """Return what was used since the host was opened; see `Host.usage`."""
        return self._core.usage(namespace)

    def on_limit(self, listener: Callable[[LimitNotice], object]) -> Callable[[], None]:
        """Tell of limits that come near or are reached; see `Host.on_limit`."""
        return self._core.ledger.reports.listen(listener)

    def actors(self, name: str) -> tuple[LiveActor, ...]:
        """Return the actors of a deployment as they run."""
        core = self._core
        return core.actors.run(
            look_at(core.fleet(core.deployments.serving(name)), core.actors.system)
        )

    def call(self, name: str, function: str, /, *arguments: Any, **named: Any) -> Any:
        """Call a function of a deployment; see `Deployment.call`."""
        return self.deployment(name).call(function, *arguments, **named)

    def collect(self, *, keep: int = 10, keep_for: float = 0.0, who: str | None = None) -> int:
        """Delete the components of old revisions; return how many bytes that freed.

        Their history is kept. Never deleted is what is live, or being moved from or to. A rollback
        to a revision whose component is gone raises `RevisionCollected`.

        Args:
            keep: Of each deployment, the last revisions that are kept.
            keep_for: Seconds for which every revision is kept.
            who: Who wants it; the user of this process by default.
        """
        self._core.check()
        return self._core.switches.collect(keep=keep, keep_for=keep_for, who=who)

    def freeze(self, *, why: str = "", who: str | None = None) -> None:
        """Refuse every deploy, rollback and removal until `thaw`, durably; calls go on."""
        self._core.switches.freeze(who=who, why=why)

    def thaw(self, *, why: str = "", who: str | None = None) -> None:
        """Take deploys, rollbacks and removals again."""
        self._core.switches.thaw(who=who, why=why)

    def lock(self, name: str, *, why: str = "", who: str | None = None) -> None:
        """Refuse to deploy, roll back or remove one deployment until `unlock`, durably."""
        self._core.switches.lock(name, who=who, why=why)

    def unlock(self, name: str, *, why: str = "", who: str | None = None) -> None:
        """Take changes of a deployment again."""
        self._core.switches.unlock(name, who=who, why=why)

    def locks(self) -> tuple[Lock, ...]:
        """Return the locks there are: who set them, when and why."""
        return self._core.switches.locks.all()

    def kill_all(self, *, why: str = "", who: str | None = None) -> None:
        """Stop every guest now and run none until `revive`, not even when opened again.

        Calls that run end with `CallDrained`, further ones with `DeploymentHeld`.
        """
        self._core.check()
        self._core.switches.kill_all(who=who, why=why)

    def revive(self, *, why: str = "", who: str | None = None) -> None:
        """Run the guests again that `kill_all` stopped."""
        self._core.check()
        self._core.switches.revive(who=who, why=why)

    def find_revisions(self, query: RevisionQuery | str = "") -> tuple[FoundRevision, ...]:
        """Return the revisions that a query is about, by deployment and number.

        Args:
            query: What is looked for; a text is words that all occur in what is known of one.

        Raises:
            InvalidSetting: A range of versions is none.
        """
        wanted = RevisionQuery(text=query) if isinstance(query, str) else query
        self._core.check()
        return self._core.find_revisions(wanted)

    def backup(self, path: str | os.PathLike[str]) -> BackupInfo:
        """Write everything that the state directory holds to a new file, while the host runs.

        The deployments and their history, the components, what they stored, the trust in keys, the
        audit log and the key that signs it: the file is as secret as the directory, and readable
        for this user alone. Not in it: compiled code, which is made again, and the lines that
        guests logged. `restore` makes a state directory of it.

        Args:
            path: The file, which must not exist. It appears once it is whole and durable.

        Returns:
            What is in it.

        Raises:
            InvalidSetting: There is something at `path`.
            StateWriteFailed: There is no room, or it cannot be written.
        """
        self._core.check()
        return self._core.backups.to_file(path)

    def close(self, timeout: float | None = None) -> None:
        """Close the host; see `Host.close`."""
        self._core.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def deploy_as(
        self,
        source: Source,
        name: str,
        settings: Settings,
        *,
        inherited: bool = False,
        grant: Literal["requested", "none"] | None = None,
        approved: Reviewed | None = None,
        who: str | None = None,
        why: str = "",
        allow_downgrade: bool = False,
        strategy: Strategy | None = None,
    ) -> BlockingDeployment:
        """Deploy with settings that are made already.

        Args:
            source: A path, or the component itself.
            name: The deployment.
            settings: How it is run.
            inherited: The capabilities in `settings` are what an earlier component asked for.
            grant: `requested` grants what it asks for and has not been granted.
            approved: What a review was about; anything else is refused.
            who: Who deploys; the user of this process by default.
            why: The reason, for the history.
            allow_downgrade: Let in a lower signed version.
            strategy: How it takes over; returns when the first step is taken. By default as the
                file of the host says, else at once.
        """
        return self._deploy(
            source,
            name,
            settings,
            None,
            who,
            why,
            allow_downgrade=allow_downgrade,
            grant=grant,
            inherited=inherited,
            approved=approved,
            strategy=strategy,
        )

    def _deploy(
        self,
        source: Source | None,
        name: str,
        settings: Settings,
        hooks: Hooks | None,
        who: str | None,
        why: str,
        *,
        allow_downgrade: bool,
        grant: Literal["requested", "none"] | None,
        inherited: bool = False,
        strategy: Strategy | None = None,
        approved: Reviewed | None = None,
        contract: Contract | None = None,
    ) -> BlockingDeployment:
        serving = self._core.changes.deploy(
            source,
            name=name,
            settings=settings,
            hooks=hooks,
            who=who,
            why=why,
            allow_downgrade=allow_downgrade,
            grant=wanted(grant),
            inherited=inherited,
            strategy=strategy,
            approved=approved,
            contract=contract,
        )
        return BlockingDeployment(self, self._core, serving)
