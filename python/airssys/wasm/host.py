"""A host: deployments that are called, replaced and rolled back while the program runs."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar

from airssys.wasm._native import ShortTurns
from airssys.wasm.actors.host_actors import HostActors
from airssys.wasm.contracts.offers import needed
from airssys.wasm.delivery.plan import plan_of
from airssys.wasm.deployment import Deployment
from airssys.wasm.deployment_name import namespace_of
from airssys.wasm.host_blocking import BlockingHost
from airssys.wasm.host_core import HostCore
from airssys.wasm.host_errors import HostClosed
from airssys.wasm.host_inputs import wanted
from airssys.wasm.ingress import Ingress
from airssys.wasm.manifest.configuration import Configuration
from airssys.wasm.revision_search import RevisionQuery
from airssys.wasm.security.security_settings import SecuritySettings
from airssys.wasm.settings import settings_from
from airssys.wasm.storage import Storage

if TYPE_CHECKING:
    import datetime as dt
    import os
    import ssl
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from airssys.osl import OSL, Approver
    from airssys.rt import Ref, System
    from airssys.wasm.actors.hooks import Hooks
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
    from airssys.wasm.remote import BlockingConnectedHost, ConnectedHost
    from airssys.wasm.revision import Enforcement, Lifetime, Settings
    from airssys.wasm.revision_search import FoundRevision
    from airssys.wasm.secrets import SecretSource
    from airssys.wasm.security.inputs import Asked
    from airssys.wasm.security.review import Reviewed
    from airssys.wasm.security.security_settings import PolicyGiven
    from airssys.wasm.settings import Mounts
    from airssys.wasm.storage_holder import StorageSettings
    from airssys.wasm.trust import Admission

__all__ = ["Host"]

P = ParamSpec("P")
T = TypeVar("T")


class Host:
    """An open state directory and its deployments.

    Made by `Host.open` and used by one event loop; `Host.open_blocking` is for programs without
    one.
    One host owns a state directory at a time. After a fork the child gets `ForkedHostError`.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None,
        provides: Mapping[Any, Any] | None,
        admission: Admission | None,
        system: System | None,
        storage: StorageSettings | None = None,
        security: SecuritySettings | None = None,
        ceilings: HostCeilings | None = None,
        configuration: str | os.PathLike[str] | Configuration | None = None,
    ) -> None:
        self._configuration = configuration
        self._security = security
        self._ceilings = ceilings
        self._directory = directory
        self._provides = provides
        self._admission: Admission | None = admission
        self._given = system
        self._storage = storage
        self._opened: HostCore | None = None
        # Changes wait for the disk and the compiler; the loop's own threads are the program's.
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="airssys-host")
        # Half of the threads at most are busy for one tenant; its further deploys wait here.
        self._turns: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(2))

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str] | None = None,
        *,
        configuration: str | os.PathLike[str] | Configuration | None = None,
        provides: Mapping[Any, Any] | None = None,
        admission: Admission | None = None,
        system: System | None = None,
        storage: StorageSettings | None = None,
        ceilings: HostCeilings | None = None,
        policy: PolicyGiven | None = None,
        osl: OSL | None = None,
        approver: Approver | None = None,
        approval_timeout: float = 60.0,
        development: bool = False,
        secrets: SecretSource | None = None,
    ) -> Self:
        """Return a host to enter with `async with`, which opens the state directory.

        The live deployments are brought back before the block begins; one that cannot be is held
        (`Deployment.held` says why) and the others are not disturbed. Leaving the block closes the
        host.

        Args:
            directory: The state directory; made when it does not exist. By default the one that
                `configuration` names.
            configuration: An `airssys.toml`, or a `Configuration` of `airssys.wasm.manifest`: state
                directory, admission, policy and ceilings where nothing else is said of them here,
                the most that a deployment gets, and how deployments are run where `deploy` does not
                say.
            provides: Host functions for components: by interface, a mapping or object that holds
                them by name; or by a Protocol that `@interface` made a contract, an object with its
                methods. They are called in the task or thread of whoever calls the component.
            admission: Which components it lets in: `any` that is not blocked, which is the default,
                or only those that are `trusted`: signed, for their name, by a key of the trust
                store of the state directory. Asked at every load.
            system: The actor system that deployments of lifetime `actor` live in, beside the
                program's own actors; one of the host's own by default.
            storage: How what components store is kept; durably in the state directory by default.
            ceilings: The most that all deployments may use together, and those of a namespace.
            policy: What may be granted at most, and what is denied or asked for: policy files of
                `airssys.osl`, or a `Policy`. Without one there is no ceiling.
            osl: The system of `airssys.osl` that decides and records, in the place of one of the
                host's own in the state directory; its policy is the policy then.
            approver: Answers accesses that the policy says to ask for, on this event loop. Whoever
                is first counts: it, or a person with `airssys approve` or `airssys deny`.
            approval_timeout: Seconds after which an unanswered question is a refusal.
            development: Permits the enforcement `learn`.
            secrets: Where the secrets come from that values of a deployment's `environment` and
                `config` have a place for (`${secret:NAME}`): a mapping, or a function of the name,
                as for `Wasi`. They are nowhere stored.

        Raises:
            ManifestError: The file `configuration` is not one; the message names line and column.
            PolicyError: The policy cannot be used.
            OslError: The audit log is damaged, or behind its checkpoint.
            InvalidSetting: `osl` is given beside `policy`, `approver` or `development`, or nothing
                says where the state directory is.
            StateDirectoryInUse: Another host owns the directory.
            StateDirectoryTooNew: A newer version of AirsSys wrote it.
            StateDirectoryDamaged: It holds what AirsSys did not write.
            StateWriteFailed: It cannot be written.
        """
        security = SecuritySettings(
            policy=policy,
            osl=osl,
            approver=approver,
            approval_timeout=approval_timeout,
            development=development,
            secrets=secrets,
        )
        return cls(
            directory, provides, admission, system, storage, security, ceilings, configuration
        )

    @staticmethod
    def open_blocking(
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
    ) -> BlockingHost:
        """Open a state directory and return a host whose methods block; as `open` otherwise.

        The host is open when this returns; it is a context manager that closes it.
        """
        return BlockingHost.open(
            directory,
            configuration=configuration,
            provides=provides,
            admission=admission,
            storage=storage,
            ceilings=ceilings,
            policy=policy,
            osl=osl,
            approver=approver,
            approval_timeout=approval_timeout,
            development=development,
            secrets=secrets,
        )

    @staticmethod
    def connect(
        address: str, *, token: str | None = None, tls: ssl.SSLContext | None = None
    ) -> ConnectedHost:
        """Return a host that another process serves, to enter with `async with`.

        It is used as a host that this process opened: deploy, call, roll back, messages to actors.
        Python objects stay where they are: hooks, host functions and the actor system.

        Args:
            address: Of the server: `unix:state/control.sock`, `https://host.example:7700`, or
                `http://127.0.0.1:7700`.
            token: What proves who asks; a socket knows who is at its other end.
            tls: How the server is recognised; by the certificates of the system by default.

        Raises:
            InvalidAddress: It is none. Entering raises `ServerUnreachable` or `NotAuthenticated`.
        """
        from airssys.wasm import remote  # noqa: PLC0415 - what opens a host has no need of it

        return remote.ConnectedHost(address, token=token, tls=tls)

    @staticmethod
    def connect_blocking(
        address: str, *, token: str | None = None, tls: ssl.SSLContext | None = None
    ) -> BlockingConnectedHost:
        """Return a host that another process serves, whose methods block; as `connect` otherwise.

        Raises:
            InvalidAddress: It is none.
            ServerUnreachable: There is no server at the address.
            NotAuthenticated: It does not know who asks.
        """
        from airssys.wasm import remote  # noqa: PLC0415 - as above

        host = remote.BlockingConnectedHost(address, token=token, tls=tls)
        try:
            host.state()
        except BaseException:
            host.close()
            raise
        return host

    @property
    def directory(self) -> Path:
        """The state directory, absolute."""
        return self._core.directory

    @property
    def osl(self) -> OSL:
        """The system whose gate decides about the deployments, and whose log records it."""
        return self._core.osl

    @property
    def storage(self) -> Storage:
        """What the deployments store: `host.storage.namespace("image/resizer")`, backups."""
        return Storage(self._core.storage)

    @property
    def system(self) -> System:
        """The actor system that deployments of lifetime `actor` live in."""
        return self._core.actors.system

    def expose(
        self,
        ref: Ref[Any],
        address: str,
        *,
        expected: Any = None,
        accepts: Collection[str] | None = None,
    ) -> None:
        """Let components reach a Python actor of `system` by a name, until it ends.

        An actor that is registered in `system.registry` under a name of words joined by slashes can
        be reached by that name already.

        Args:
            ref: The actor.
            address: Words joined by slashes.
            expected: What payloads are decoded to, as an annotation: a dataclass, or `bytes` for
                the payload itself; None takes what the payload says.
            accepts: The codecs that it takes; None for all that are registered. Another fails
                where it is sent, with both lists.

        Raises:
            NameTaken: Another actor has the address.
        """
        self._core.actors.exchange.expose(ref, address, expected=expected, accepts=accepts)

    async def deploy(
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
    ) -> Deployment:
        """Make a component the live revision of a deployment, which is made where it is missing.

        When this returns the revision is recorded durably and takes every new call; calls that run
        end on the revision they began on. Where a strategy moves it step by step, it returns when
        the first step is taken, and `rollout()` of what it returns tells how it goes on. What fails
        leaves everything as it was. Deploying what is live, with the same settings, changes
        nothing. On cancel the deployment has either been made or is left as it was.

        Args:
            source: A path, or the component itself, in binary or text format; None for the one that
                the `configuration` of the host names.
            name: The deployment: `image/resizer`, lower-case segments of 3 to 64 characters, the
                first of which is the namespace.
            lifetime: `call`, a fresh instance for every call; `pooled`, instances that are reused
                for one call at a time; or `actor`, one instance per key that takes messages. By
                default what the component's manifest says, else `call`.
            limits: The bounds of each instance. What it leaves at the default is what the file of
                the host says, else what the manifest says the component needs. Never above the
                maxima of the host.
            instances: The most instances of a pooled deployment, 8 by default; further calls wait,
                within their `call_timeout`.
            drain: Seconds that calls of this revision may go on after another has taken over, 30 by
                default.
            keep: How many earlier revisions stay warm for a rollback, 5 by default.
            actor: How the actors of lifetime `actor` are run, which it implies; what it leaves at
                the default is what the file of the host says.
            ceilings: What all instances of the deployment may use together; unbounded where it is
                None, below what its namespace and the host may.
            hooks: What is called at the turns of its actors' life. It is not recorded: give it
                again after the host was opened again; that alone deploys nothing.
            capabilities: What the component asks for, where it carries no manifest that says so:
                `Capabilities`, or the same as the table of a `Component.toml`:
                `{"messaging": [{"ask": "demo/*"}]}`.
            mounts: Directories of this machine by their path in the component: a path (to read
                only) or a `Directory`; in the place of those in the file of the host. What it may
                do there takes a request and a grant.
            environment: Environment variables that it may be granted to read.
            config: Values of its configuration, over those in the file of the host. Where the
                manifest has `[config]`, they are of its types, and what is not set has its default.
            grant: `requested` grants what it asks for and has not been granted, `none` no more than
                before; by default it is granted what the file of the host says. Never more
                than the policy of the host allows.
            enforcement: `enforce`, the default; `observe`, until `observe_until`, which lets pass
                and records what is merely not granted; `learn`, the same on a development host.
            observe_until: When observing ends.
            who: Who deploys, for the history; the user of this process by default.
            why: The reason, for the history.
            strategy: How it takes over from what is live; by default as the file of the host says,
                else at once (`BlueGreen`).
            implements: A Protocol made a contract by `@interface`: the component is refused where
                it does not implement it, and so is every later one, until one is deployed with
                another contract.
            allow_downgrade: Let in a signed version that is lower than one the name has had.
            replay: Keep calls, and make them again on each further revision before it goes live;
                none by default.

        Raises:
            ReplayDiffers: It answers calls otherwise that were recorded, and `replay` refuses that.
            ShadowUnsafe: Calls are to be made again without effects, and it calls host functions.
            ComponentBlocked: The component, or a key that signed it, is blocked.
            NotTrusted: It is not trusted, and the host lets only trusted ones in.
            DowngradeRefused: It is signed as a lower version than the name has had.
            InvalidDeploymentName: The name breaks the rules.
            InvalidSetting: A setting is out of range, or a request is none.
            ManifestError: The manifest in the component is not one, or does not fit what it is
                given: it needs more, or its configuration is of another type or not complete.
            OSError: The file cannot be read.
            InvalidComponent: It is not a component, or a broken one.
            ComponentTooLarge: It exceeds a static limit.
            UnknownImport: Nothing provides an import; the message names the near ones.
            ContractMismatch: It does not implement what it has to; says what is missing or other.
            RolloutInProgress: The deployment is being moved to another revision.
            StrategyUnsupported: The strategy cannot move it; the message says why.
            Trap: It trapped while it was instantiated.
            LimitExceeded: It needs more than its limits allow.
            StateWriteFailed: It could not be stored or recorded.
            HostClosed: The host is closed.
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
        return await self._deploy(
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

    async def serve_http(
        self, listen: str, *, routes: Sequence[HttpRoute], limits: HttpLimits | None = None
    ) -> Ingress:
        """Listen for HTTP requests (HTTP/1.1, and HTTP/2 by prior knowledge) for deployments.

        Requests are taken when this returns, until the ingress or the host is closed.

        Args:
            listen: `127.0.0.1:8080` (port 0 takes a free one), or `unix:/path/of/a.sock`.
            routes: Which requests go to which deployment.
            limits: What clients may ask; the defaults of `HttpLimits` where it is None.

        Raises:
            AddressUnavailable: It cannot be listened on.
            UnknownDeployment: A route is to a deployment that does not exist.
            InvalidSetting: Two routes are for the same, or a host or path is none.
            DeploymentIsActor: A route is to a deployment that takes messages.
            HostClosed: The host is closed.
        """
        self._core.check()
        return await self._run(Ingress, self._core, self._run, listen, routes, limits)

    async def plan(
        self,
        source: Source,
        *,
        name: str,
        settings: Settings,
        strategy: Strategy | None = None,
        allow_downgrade: bool = False,
        inherited: bool = False,
    ) -> Plan:
        """Return what deploying a component would change; see `BlockingHost.plan`."""
        return await self._change(
            plan_of,
            self._core,
            source,
            name=name,
            settings=settings,
            strategy=strategy,
            allow_downgrade=allow_downgrade,
            inherited=inherited,
        )

    def deployment(self, name: str) -> Deployment:
        """Return a deployment.

        Raises:
            UnknownDeployment: There is none of this name; the message names the near ones.
            HostClosed: The host is closed.
        """
        return Deployment(self, self._core, self._core.deployments.serving(name))

    def deployments(self) -> tuple[Deployment, ...]:
        """Return the deployments, by name."""
        return tuple(self.deployment(name) for name in self._core.deployments.names())

    def usage(self, namespace: str | None = None) -> Usage:
        """Return what was used since the host was opened, removed deployments included.

        Args:
            namespace: Of this tenant only; of the whole host where it is None.
        """
        return self._core.usage(namespace)

    def on_limit(self, listener: Callable[[LimitNotice], object]) -> Callable[[], None]:
        """Call `listener` when a limit is nearly used up, or was reached.

        It is called on a thread of its own, after the logger `airssys.wasm.limits` was told the
        same.

        Returns:
            What ends it.
        """
        return self._core.ledger.reports.listen(listener)

    def call(self, name: str, function: str, /, *arguments: Any, **named: Any) -> Awaitable[Any]:
        """Call a function of a deployment; see `Deployment.call`."""
        return self.deployment(name).call(function, *arguments, **named)

    async def collect(
        self, *, keep: int = 10, keep_for: float = 0.0, who: str | None = None
    ) -> int:
        """Delete the components of old revisions; return how many bytes that freed.

        Their history is kept. Never deleted is what is live, or being moved from or to. A rollback
        to a revision whose component is gone raises `RevisionCollected`.

        Args:
            keep: Of each deployment, the last revisions that are kept.
            keep_for: Seconds for which every revision is kept.
            who: Who wants it; the user of this process by default.
        """
        return await self._change(
            self._core.switches.collect, keep=keep, keep_for=keep_for, who=who
        )

    async def freeze(self, *, why: str = "", who: str | None = None) -> None:
        """Refuse every deploy, rollback and removal until `thaw`, durably; calls go on."""
        await self._change(self._core.switches.freeze, who=who, why=why)

    async def thaw(self, *, why: str = "", who: str | None = None) -> None:
        """Take deploys, rollbacks and removals again."""
        await self._change(self._core.switches.thaw, who=who, why=why)

    async def lock(self, name: str, *, why: str = "", who: str | None = None) -> None:
        """Refuse to deploy, roll back or remove one deployment until `unlock`, durably."""
        await self._change(self._core.switches.lock, name, who=who, why=why)

    async def unlock(self, name: str, *, why: str = "", who: str | None = None) -> None:
        """Take changes of a deployment again."""
        await self._change(self._core.switches.unlock, name, who=who, why=why)

    async def locks(self) -> tuple[Lock, ...]:
        """Return the locks there are: who set them, when and why."""
        return await self._change(self._core.switches.locks.all)

    async def kill_all(self, *, why: str = "", who: str | None = None) -> None:
        """Stop every guest now and run none until `revive`, not even when opened again.

        Calls that run end with `CallDrained`, further ones with `DeploymentHeld`.
        """
        await self._change(self._core.switches.kill_all, who=who, why=why)

    async def revive(self, *, why: str = "", who: str | None = None) -> None:
        """Run the guests again that `kill_all` stopped."""
        await self._change(self._core.switches.revive, who=who, why=why)

    async def find_revisions(self, query: RevisionQuery | str = "") -> tuple[FoundRevision, ...]:
        """Return the revisions that a query is about, by deployment and number.

        Args:
            query: What is looked for; a text is words that all occur in what is known of one.

        Raises:
            InvalidSetting: A range of versions is none.
        """
        wanted = RevisionQuery(text=query) if isinstance(query, str) else query
        return await self._change(self._core.find_revisions, wanted)

    async def backup(self, path: str | os.PathLike[str]) -> BackupInfo:
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
        return await self._change(self._core.backups.to_file, path)

    async def close(self, timeout: float | None = None) -> None:
        """Take no calls any more, wait for those that run, and give the state directory up.

        Args:
            timeout: Seconds to wait before calls that run are ended with `CallDrained`; each
                deployment's `drain` where it is None. Does nothing the second time. On cancel the
                closing goes on.
        """
        if self._opened is not None and not self._opened.closed:
            await asyncio.shield(self._run(self._opened.close, timeout))
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        if self._opened is not None:
            raise HostClosed("a host is opened once", hint="make another with Host.open")
        actors = HostActors(self._given, asyncio.get_running_loop())
        opening = asyncio.ensure_future(
            self._run(
                _open,
                self._configuration,
                directory=self._directory,
                provides=self._provides,
                admission=self._admission,
                actors=actors,
                storage=self._storage,
                ceilings=self._ceilings,
                security=self._security,
            )
        )
        try:
            self._opened = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # Nobody will close it: it must not stay the owner of the directory.
            opening.add_done_callback(_close_unwanted)
            raise
        self._opened.osl.approvals.run_on(asyncio.get_running_loop())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    @property
    def _core(self) -> HostCore:
        if self._opened is None:
            raise HostClosed(
                f"the host on {self._directory} is not open", hint="use: async with Host.open(...)"
            )
        return self._opened

    async def deploy_as(
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
    ) -> Deployment:
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
        return await self._deploy(
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

    async def _deploy(
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
    ) -> Deployment:
        given_up = threading.Event()
        try:
            async with self._turns[namespace_of(name)]:
                serving = await self._change(
                    self._core.changes.deploy,
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
                    given_up=given_up,
                )
        except asyncio.CancelledError:
            given_up.set()
            raise
        return Deployment(self, self._core, serving)

    async def _change(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._core.check()
        # Asked for from here on: beside a busy loop the thread would wait long for its first turn.
        with ShortTurns():
            return await self._run(function, *args, **kwargs)

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, functools.partial(function, *args, **kwargs)
        )


def _open(configuration: str | os.PathLike[str] | Configuration | None, **given: Any) -> HostCore:
    """Open a state directory as an `airssys.toml` says, where there is one."""
    return HostCore(configuration=Configuration.of(configuration), **given)


def _close_unwanted(opening: asyncio.Future[HostCore]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
