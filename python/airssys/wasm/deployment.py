"""A deployment, in its two forms: awaited and blocking."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from airssys.wasm.actors.blocking_actor import BlockingActor
from airssys.wasm.api import Api
from airssys.wasm.contracts.offers import needed
from airssys.wasm.delivery.plan import RevisionDifference, revision_difference
from airssys.wasm.delivery.records import refuse_taken_back
from airssys.wasm.delivery.rollout import BlockingRollout, Rollout
from airssys.wasm.deployment_name import namespace_of
from airssys.wasm.host_errors import HostClosed, InvalidSetting
from airssys.wasm.security.asking import granting_of, request_states
from airssys.wasm.security.grant import Grant
from airssys.wasm.settings import settings_changed
from airssys.wasm.storage import Namespace

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Awaitable, Callable, Sequence
    from concurrent.futures import Future
    from typing import Unpack

    from airssys.wasm.accounting import DeploymentStatistics
    from airssys.wasm.actors.child import ComponentChild
    from airssys.wasm.actors.log_line import LogLevel, LogLine
    from airssys.wasm.actors.ref import ComponentRef
    from airssys.wasm.component import Component
    from airssys.wasm.contracts.contract import Contract
    from airssys.wasm.delivery.strategies import Strategy
    from airssys.wasm.deployment_changes import Changes
    from airssys.wasm.host import Host
    from airssys.wasm.host_blocking import BlockingHost
    from airssys.wasm.host_core import HostCore
    from airssys.wasm.host_inputs import Source
    from airssys.wasm.quotas import Usage
    from airssys.wasm.revision import Revision, RolloutRecord, Settings
    from airssys.wasm.security.grant import RequestState
    from airssys.wasm.security.grants import Granting
    from airssys.wasm.security.inputs import Asked
    from airssys.wasm.serving import Serving
    from airssys.wasm.storage_blocking import BlockingNamespace

__all__ = ["BlockingDeployment", "Deployment"]

P = TypeVar("P")


class _Deployment:
    """What both forms have."""

    __slots__ = ("_api", "_api_of", "_core", "_serving")

    def __init__(self, core: HostCore, serving: Serving) -> None:
        self._core = core
        self._serving = serving
        self._api: Api | None = None
        self._api_of: Component | None = None

    @property
    def name(self) -> str:
        """The name by which it is called: `image/resizer`."""
        return self._serving.name

    @property
    def namespace(self) -> str:
        """The first segment of the name."""
        return namespace_of(self.name)

    @property
    def revision(self) -> Revision:
        """The live revision.

        Raises:
            HostClosed: The deployment was removed.
        """
        revision = self._serving.revision
        if revision is None:
            raise HostClosed(f"deployment '{self.name}' was removed", name=self.name)
        return revision

    @property
    def held(self) -> str | None:
        """Why the deployment takes no calls, or None where it does."""
        return self._serving.held

    @property
    def component(self) -> Component:
        """The component of the live revision.

        Raises:
            DeploymentHeld: The deployment takes no calls.
            HostClosed: The host is closed, or the deployment was removed.
        """
        self._core.refuse_held(self._serving)
        component = self._serving.component
        if component is None or self._serving.revision is None:
            raise HostClosed(f"deployment '{self.name}' was removed", name=self.name)
        return component

    def grants(self) -> tuple[Grant, ...]:
        """Return what is granted to it, the oldest grant first; what has ended is left out."""
        return self._core.rights.grants(self.name)

    def requests(self) -> tuple[RequestState, ...]:
        """Return what the live revision asks for, and what is granted of it by which grants."""
        return request_states(self.revision.settings, self.grants())

    def suggest(self) -> str:
        """Return the least request that covers what it used while it was learning.

        It is `[capabilities]` as it stands in `Component.toml`, without what was refused; paths are
        those that the component sees. Reads the audit log: what was used is known after a restart.
        """
        return self._core.rights.suggest(self.name)

    def _granting(self, what: Asked | str | Sequence[str] | None) -> list[Granting] | None:
        return None if what is None else granting_of(what, self.revision.settings)

    @property
    def exports(self) -> list[str]:
        """Paths of the live revision's functions: `add`, or `demo:calc/ops#add`."""
        component = self._serving.component
        return [] if component is None else component.exports

    def statistics(self) -> DeploymentStatistics:
        """Return what its calls came to and used since the host was opened, by revision."""
        return self._core.statistics(self._serving)

    def usage(self) -> Usage:
        """Return what it used since the host was opened, and its ceilings."""
        self._core.check()
        return self._serving.usage()

    def history(self) -> tuple[Revision, ...]:
        """Return every revision, the first one first. `revision` is the live one."""
        return self._core.history(self.name)

    def rollouts(self) -> tuple[RolloutRecord, ...]:
        """Return every movement between revisions, the first one first: who, when and why."""
        return self._core.rollouts(self.name)

    def difference(self, before: int, after: int) -> RevisionDifference:
        """Return what differs between two revisions: the component, its interface, settings.

        Raises:
            UnknownRevision: There is no such revision.
        """
        return revision_difference(self._core, self.name, before, after)

    def logs(self, *, level: LogLevel = "trace", since: float = 0.0) -> tuple[LogLine, ...]:
        """Return what its guests logged last, the oldest line first.

        Args:
            level: The least level: `trace`, `debug`, `info`, `warning`, `error`.
            since: The earliest moment, in seconds since 1970.
        """
        logs = self._core.actors.logs
        return () if logs is None else logs.last(self.name, level=level, since=since)

    def _coming(self, error: HostClosed, waited: Future[None] | None = None) -> Future[None]:
        """Return what a call that found no revision may wait for, or raise.

        Args:
            error: What the call found.
            waited: What it has waited for; after that the deployment may be recreated once more.
        """
        own = f"deployment '{self.name}' takes no calls"
        coming = self._serving.coming
        if error.summary != own or self._core.closed or coming is None or coming is waited:
            self._core.refuse_held(self._serving)
            raise error
        return coming

    def _functions(self, call: Callable[..., Any]) -> Api:
        """Return the functions of the live revision, found once for each revision."""
        component = self._serving.component
        if self._api is None or self._api_of is not component:
            self._api, self._api_of = Api(call, self.exports), component
        return self._api

    @property
    def _contract(self) -> Contract | None:
        """The contract that the live revision was deployed to implement, if this host was told."""
        contract = self._serving.contract
        same = contract and contract.required == self.revision.settings.implements
        return contract if same else None

    def _implementing(self, contract: Callable[..., P], *, awaited: bool) -> P:
        """Return the deployment as an object of a contract."""
        wanted = needed(contract)
        assert wanted is not None, "a contract is given"  # noqa: S101
        if self.revision.settings.implements != wanted.required:
            wanted.required.check(self._core.intake.stored(self.revision.digest))
        call = self.call  # type: ignore[attr-defined]  # both forms have one
        return cast("P", wanted.client(call, awaited=awaited))

    def _changes(self, given: Changes) -> tuple[Settings, dict[str, Any]]:
        """Return the settings that follow from what is to change, and what is for this deploy."""
        changes: dict[str, Any] = dict(given)
        deploy = {
            "hooks": changes.pop("hooks", None),
            "who": changes.pop("who", None),
            "why": changes.pop("why", ""),
            "allow_downgrade": changes.pop("allow_downgrade", False),
            "grant": changes.pop("grant", None),
            "inherited": changes.get("capabilities") is None,
            "contract": needed(changes.get("implements")),
        }
        return settings_changed(self.revision.settings, **changes), deploy

    def __repr__(self) -> str:
        revision = self._serving.revision
        state = "removed" if revision is None else f"revision {revision.number}"
        return f"<{type(self).__name__} {self.name}: {'held' if self.held else state}>"


class Deployment(_Deployment):
    """A live name, and what takes its calls. Made by `Host.deploy` and `Host.deployment`."""

    __slots__ = ("_host",)

    def __init__(self, host: Host, core: HostCore, serving: Serving) -> None:
        super().__init__(core, serving)
        self._host = host

    def call(self, function: str, /, *arguments: Any, **named: Any) -> Awaitable[Any]:
        """Call a function of the live revision.

        The revision is chosen now, and the call ends on it whatever is deployed meanwhile. The
        guest runs when the result is awaited. Cancelling drops the instance; the guest does not go
        on.

        Args:
            function: Path of the function: `add`, or `demo:calc/ops#add`.
            arguments: Its arguments, by position.
            named: Its arguments, by name.

        Returns:
            The result; the value of a WIT `result` that is ok.

        Raises:
            UnknownExport: The live revision has no such function.
            TypeError: An argument is not what the function takes; the message names the place.
            ValueError: The same, for a value out of range.
            GuestError: The function returned the error of its `result`.
            Trap: The guest trapped.
            LimitExceeded: It reached a limit.
            DeploymentHeld: The deployment takes no calls.
            DeploymentOverloaded: Too many calls wait for an instance.
            CallDrained: The revision was replaced, and the drain deadline has passed.
            HostClosed: The host is closed, or the deployment was removed.
        """
        return self._call(function, arguments, named)

    def call_for(
        self, key: str | bytes, function: str, /, *arguments: Any, **named: Any
    ) -> Awaitable[Any]:
        """Call a function on behalf of somebody, who meets one revision while a rollout runs.

        Who has gone over to the new revision stays there as its share grows.

        Args:
            key: Of a person, a session or a tenant. It is hashed with a secret of the rollout.
            function: As for `call`.
            arguments: As for `call`.
            named: As for `call`.
        """
        return self._call(function, arguments, named, _key(key))

    def _call(
        self,
        function: str,
        arguments: tuple[Any, ...],
        named: dict[str, Any],
        key: bytes | None = None,
    ) -> Awaitable[Any]:
        script = self._serving.script
        if script is not None:
            return script.call_async(self._call_path, function, arguments, named, key)
        return self._call_path(function, arguments, named, key)

    def _call_path(
        self, function: str, arguments: tuple[Any, ...], named: dict[str, Any], key: bytes | None
    ) -> Awaitable[Any]:
        try:
            return self._serving.route.call_async(function, arguments, named, key)
        except HostClosed as error:
            return self._call_then(self._coming(error), function, arguments, named, key)

    async def _call_then(self, coming: Future[None], *call: Any) -> Any:
        """Call once a revision takes calls again."""
        while True:
            async with asyncio.timeout(self._serving.patience):
                await asyncio.shield(asyncio.wrap_future(coming))
            try:
                called = self._serving.route.call_async(*call)
            except HostClosed as error:
                coming = self._coming(error, coming)
            else:
                return await called

    def actor(self, key: str = "") -> ComponentRef[Any]:
        """Return the address of one of its actors; one that is not there starts meanwhile.

        The address stays good over restarts and revisions. A key that was used comes back when the
        host is opened again.

        Args:
            key: Which of the deployment's actors; the main one by default.

        Raises:
            DeploymentIsNoActor: The deployment takes calls.
            DeploymentHeld: Its actors were restarted too often, or could not be brought back.
            HostClosed: The host is closed.
        """
        return self._core.fleet(self._serving).ref(key)

    async def start(self, key: str = "") -> ComponentRef[Any]:
        """Return the address of one of its actors once it runs.

        Raises:
            SpawnFailed: It did not start; nothing was left behind.
            DeploymentIsNoActor: The deployment takes calls.
            DeploymentHeld: Its actors were restarted too often, or could not be brought back.
        """
        return await self._core.fleet(self._serving).start(key)

    def child(self, name: str, key: str = "", **options: Any) -> ComponentChild:
        """Return a specification of one of its actors for a supervision tree of `airssys.rt`.

        It stands beside Python actors, and is supervised there instead of by the host. The system
        is the one that the host was opened with.

        Args:
            name: The name in the tree.
            key: Which of the deployment's actors.
            **options: Fields of `airssys.rt.Options` that replace what the settings say.

        Raises:
            DeploymentIsNoActor: The deployment takes calls.
            DeploymentHeld: Its actors could not be brought back.
        """
        return self._core.fleet(self._serving).child(name, key, **options)

    @property
    def storage(self) -> Namespace:
        """What the deployment stores, as its components see it; no rule decides about this."""
        return Namespace(self._core.storage.namespace(self.name))

    @property
    def api(self) -> Any:
        """The functions as attributes: `await deployment.api.add(2, 3)`.

        Those of its contract where it was deployed with `implements`; see `implementing`.
        """
        contract = self._contract
        return (
            self._functions(self.call)
            if contract is None
            else contract.client(self.call, awaited=True)
        )

    def implementing(self, contract: Callable[..., P]) -> P:
        """Return the deployment as an object of a contract, with the types that it declares.

        Args:
            contract: A Protocol that `@interface` made a contract.

        Raises:
            ContractMismatch: The live revision does not implement it.
            InvalidContract: It is no contract.
        """
        return self._implementing(contract, awaited=True)

    @overload
    async def deploy(
        self,
        source: Source,
        *,
        strategy: Strategy | None = None,
        wait: Literal[True] = True,
        **changes: Unpack[Changes],
    ) -> Deployment: ...
    @overload
    async def deploy(
        self,
        source: Source,
        *,
        strategy: Strategy | None = None,
        wait: Literal[False],
        **changes: Unpack[Changes],
    ) -> Rollout: ...
    async def deploy(
        self,
        source: Source,
        *,
        strategy: Strategy | None = None,
        wait: bool = True,
        **changes: Unpack[Changes],
    ) -> Deployment | Rollout:
        """Make a component the live revision; as `Host.deploy`, with the settings there are now.

        Args:
            source: A path, or the component itself.
            strategy: How it takes over: `BlueGreen` (at once), `Canary`, `Rolling`, `Shadow` or
                `Recreate`; by default as the file of the host says, else at once. At once too where
                nothing is live that takes calls.
            wait: Return when the rollout is over; else when its first step is taken. On cancel a
                rollout that has begun goes on.
            **changes: What is to be another than now; see `Changes`.

        Returns:
            This deployment; the rollout where `wait` is False.

        Raises:
            RolloutInProgress: It is being moved to another revision.
            StrategyUnsupported: The strategy cannot move it; the message says why.
            RolloutTakenBack: The new revision was taken back; the message has the evidence.
        """
        before = self.rollout().id
        settings, deploy = self._changes(changes)
        deployment = await self._host._deploy(  # noqa: SLF001
            source, self.name, settings, strategy=strategy, **deploy
        )
        rollout = self.rollout()
        if not wait:
            return rollout
        if rollout.id != before:
            refuse_taken_back(await rollout.wait())
        return deployment

    def rollout(self) -> Rollout:
        """Return the last movement to another revision, which may be under way."""
        return Rollout(self._core, self._core.rollouts(self.name)[-1], self.name)

    async def grant(
        self,
        what: Asked | str | Sequence[str] | None = None,
        *,
        why: str = "",
        until: dt.datetime | None = None,
        act_as: Literal["self"] | None = None,
        caller: str | None = None,
        who: str | None = None,
    ) -> tuple[Grant, ...]:
        """Grant capabilities, durably and at once, for every revision that asks for them.

        Args:
            what: Places of requests, as `requests` and the manifest have them (`http[0]`); or
                capabilities, of which what the component asks for too is worth something; or None
                for all that it asks for and has not been granted.
            why: The reason, for the records.
            until: When it ends. It ends by the time that has passed, too, where a clock was set.
            act_as: `self` where callers of the component need not hold the right themselves.
            caller: The one caller for whom it counts.
            who: Who grants; the user of this process by default.

        Returns:
            The grants that were made.

        Raises:
            InvalidSetting: There is no such request, a capability is none, or the end is over.
            StateWriteFailed: It could not be recorded; nothing has changed.
        """
        change = self._host._change  # noqa: SLF001
        return await change(
            self._core.rights.grant,
            self.name,
            self._granting(what),
            who=who,
            why=why,
            until=until,
            act_as=act_as,
            caller=caller,
        )

    async def revoke(
        self,
        grants: Grant | int | Sequence[Grant | int] | Literal["all"],
        *,
        wait: bool = False,
        why: str = "",
        who: str | None = None,
    ) -> tuple[Grant, ...]:
        """Take grants back, durably and at once: what is open stops at its next operation.

        Args:
            grants: Grants or their ids, or `all`.
            wait: Return when nothing is left that was opened with them: every instance is replaced,
                calls that run have the drain time of the revision, and actors start again from what
                they hand over. A component that does not start without them is held.
            why: The reason, for the records.
            who: Who revokes; the user of this process by default.

        Returns:
            The grants that were taken back.

        Raises:
            UnknownGrant: It has no such grant, or not any more; nothing has changed.
            StateWriteFailed: It could not be recorded; nothing has changed.
        """
        change = self._host._change  # noqa: SLF001
        return await change(
            self._core.rights.revoke, self.name, _ids(grants), wait=wait, who=who, why=why
        )

    async def rollback(
        self, to: int | None = None, *, who: str | None = None, why: str = ""
    ) -> Revision:
        """Make an earlier revision live again; see `BlockingDeployment.rollback`."""
        change = self._host._change  # noqa: SLF001
        await change(self._core.rollback, self.name, to, who=who, why=why)
        return self.revision

    async def remove(self, *, who: str | None = None, why: str = "") -> None:
        """End the deployment; see `BlockingDeployment.remove`."""
        await self._host._change(self._core.remove, self.name, who=who, why=why)  # noqa: SLF001


class BlockingDeployment(_Deployment):
    """A live name, and what takes its calls. Made by a `BlockingHost`."""

    __slots__ = ("_host",)

    def __init__(self, host: BlockingHost, core: HostCore, serving: Serving) -> None:
        super().__init__(core, serving)
        self._host = host

    def call(self, function: str, /, *arguments: Any, **named: Any) -> Any:
        """Call a function of the live revision and wait for the result; see `Deployment.call`.

        `KeyboardInterrupt` drops the instance; the guest does not go on.
        """
        return self._call(function, arguments, named)

    def call_for(self, key: str | bytes, function: str, /, *arguments: Any, **named: Any) -> Any:
        """Call a function on behalf of somebody; see `Deployment.call_for`."""
        return self._call(function, arguments, named, _key(key))

    def _call(
        self,
        function: str,
        arguments: tuple[Any, ...],
        named: dict[str, Any],
        key: bytes | None = None,
    ) -> Any:
        script = self._serving.script
        if script is not None:
            return script.call(self._call_path, function, arguments, named, key)
        return self._call_path(function, arguments, named, key)

    def _call_path(
        self, function: str, arguments: tuple[Any, ...], named: dict[str, Any], key: bytes | None
    ) -> Any:
        waited = None
        while True:
            try:
                return self._serving.route.call(function, arguments, named, key)
            except HostClosed as error:
                waited = self._coming(error, waited)
            waited.result(self._serving.patience)

    def actor(self, key: str = "") -> BlockingActor:
        """Return one of its actors, started where it is not there; see `Deployment.actor`.

        Raises:
            SpawnFailed: It did not start; nothing was left behind.
        """
        fleet = self._core.fleet(self._serving)
        return BlockingActor(self._core.actors, self._core.actors.run(fleet.start(key)))

    @property
    def storage(self) -> BlockingNamespace:
        """What the deployment stores; see `Deployment.storage`."""
        return self._core.storage.namespace(self.name)

    @property
    def api(self) -> Any:
        """The functions as attributes: `deployment.api.add(2, 3)`; see `Deployment.api`."""
        contract = self._contract
        return (
            self._functions(self.call)
            if contract is None
            else contract.client(self.call, awaited=False)
        )

    def implementing(self, contract: Callable[..., P]) -> P:
        """Return the deployment as an object of a contract; see `Deployment.implementing`."""
        return self._implementing(contract, awaited=False)

    @overload
    def deploy(
        self,
        source: Source,
        *,
        strategy: Strategy | None = None,
        wait: Literal[True] = True,
        **changes: Unpack[Changes],
    ) -> BlockingDeployment: ...
    @overload
    def deploy(
        self,
        source: Source,
        *,
        strategy: Strategy | None = None,
        wait: Literal[False],
        **changes: Unpack[Changes],
    ) -> BlockingRollout: ...
    def deploy(
        self,
        source: Source,
        *,
        strategy: Strategy | None = None,
        wait: bool = True,
        **changes: Unpack[Changes],
    ) -> BlockingDeployment | BlockingRollout:
        """Make a component the live revision; see `Deployment.deploy`."""
        before = self.rollout().id
        settings, deploy = self._changes(changes)
        deployment = self._host._deploy(  # noqa: SLF001
            source, self.name, settings, strategy=strategy, **deploy
        )
        rollout = self.rollout()
        if not wait:
            return rollout
        if rollout.id != before:
            refuse_taken_back(rollout.wait())
        return deployment

    def rollout(self) -> BlockingRollout:
        """Return the last movement to another revision, which may be under way."""
        return BlockingRollout(self._core, self._core.rollouts(self.name)[-1], self.name)

    def grant(
        self,
        what: Asked | str | Sequence[str] | None = None,
        *,
        why: str = "",
        until: dt.datetime | None = None,
        act_as: Literal["self"] | None = None,
        caller: str | None = None,
        who: str | None = None,
    ) -> tuple[Grant, ...]:
        """Grant capabilities, durably and at once; see `Deployment.grant`."""
        return self._core.rights.grant(
            self.name,
            self._granting(what),
            who=who,
            why=why,
            until=until,
            act_as=act_as,
            caller=caller,
        )

    def revoke(
        self,
        grants: Grant | int | Sequence[Grant | int] | Literal["all"],
        *,
        wait: bool = False,
        why: str = "",
        who: str | None = None,
    ) -> tuple[Grant, ...]:
        """Take grants back, durably and at once; see `Deployment.revoke`."""
        return self._core.rights.revoke(self.name, _ids(grants), wait=wait, who=who, why=why)

    def rollback(self, to: int | None = None, *, who: str | None = None, why: str = "") -> Revision:
        """Make an earlier revision live again, at once where it is kept warm.

        Args:
            to: The revision, or None for the one that the live revision replaced.
            who: Who rolls back; the user of this process by default.
            why: The reason, for the history.

        Returns:
            The revision that is live now.

        Raises:
            UnknownRevision: There is no revision `to`.
            NothingToRollBackTo: `to` is None and the live revision replaced nothing.
            StateWriteFailed: It could not be recorded; nothing has changed.
        """
        self._core.rollback(self.name, to, who=who, why=why)
        return self.revision

    def remove(self, *, who: str | None = None, why: str = "") -> None:
        """End the deployment, once the calls that run have ended or the drain deadline has passed.

        Its components and what it stored are deleted; its history stays in the state directory, its
        name becomes free.

        Raises:
            StateWriteFailed: It could not be recorded; nothing has changed.
        """
        self._core.remove(self.name, who=who, why=why)


def _key(key: str | bytes) -> bytes:
    return key.encode() if isinstance(key, str) else key


def _ids(grants: Grant | int | Sequence[Grant | int] | Literal["all"]) -> list[int] | None:
    if grants == "all":
        return None
    several = (grants,) if isinstance(grants, (Grant, int, str)) else grants
    numbers = [each.id if isinstance(each, Grant) else each for each in several]
    for number in numbers:
        if not isinstance(number, int):
            raise InvalidSetting(f"{number!r} is no grant", hint="pass grants, their ids, or 'all'")
    return numbers
