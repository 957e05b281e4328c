"""Deployments of a server, as its clients reach them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, overload

import msgspec

from airssys.wasm.api import Api
from airssys.wasm.delivery.records import refuse_taken_back
from airssys.wasm.deployment_name import namespace_of
from airssys.wasm.manifest.component_manifest import Capabilities
from airssys.wasm.remote import operations, values
from airssys.wasm.remote.rollout import BlockingConnectedRollout, ConnectedRollout
from airssys.wasm.remote.wire import GrantRequest, RevokeRequest, RollbackRequest
from airssys.wasm.security.grant import Grant
from airssys.wasm.values import Err, GuestError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from airssys.wasm.accounting import DeploymentStatistics
    from airssys.wasm.actors.log_line import LogLevel, LogLine
    from airssys.wasm.delivery.plan import RevisionDifference
    from airssys.wasm.delivery.strategies import Strategy
    from airssys.wasm.host_inputs import Source
    from airssys.wasm.quotas import Usage
    from airssys.wasm.remote.actor import BlockingConnectedActor, ConnectedActor
    from airssys.wasm.remote.host import ConnectedHost, ConnectedHostBase
    from airssys.wasm.remote.host_blocking import BlockingConnectedHost
    from airssys.wasm.remote.request import Request
    from airssys.wasm.remote.settings import SettingsGiven
    from airssys.wasm.remote.storage import ConnectedNamespace
    from airssys.wasm.remote.wire import DeploymentState
    from airssys.wasm.revision import Revision, RolloutRecord
    from airssys.wasm.security.grant import RequestState
    from airssys.wasm.security.inputs import Asked

__all__ = ["BlockingConnectedDeployment", "ConnectedDeployment"]

P = TypeVar("P")


class _RemoteApi(Api):
    """The functions as they were found; looked up again when one is not among them."""

    __slots__ = ("_again",)

    def __init__(
        self, call: Callable[..., Any], exports: list[str], again: Callable[[], list[str]]
    ) -> None:
        super().__init__(call, exports)
        self._again = again

    def _path(self, name: str) -> str:
        try:
            return super()._path(name)
        except AttributeError:
            if name.startswith("__"):
                raise
            self._exports = self._again()
            return super()._path(name)


class _Deployment:
    """What both forms have. What is not awaited is one short request, which blocks."""

    __slots__ = ("_api", "_host", "name")

    _host: ConnectedHostBase

    def __init__(self, host: ConnectedHostBase, name: str) -> None:
        self._host = host
        #: The name by which it is called: `image/resizer`.
        self.name = name
        self._api: Api | None = None

    @property
    def namespace(self) -> str:
        """The first segment of the name."""
        return namespace_of(self.name)

    @property
    def revision(self) -> Revision:
        """The live revision.

        Raises:
            UnknownDeployment: The deployment was removed.
        """
        return self._state().revision

    @property
    def held(self) -> str | None:
        """Why the deployment takes no calls, or None where it does."""
        return self._state().held

    @property
    def exports(self) -> list[str]:
        """Paths of the live revision's functions: `add`, or `demo:calc/ops#add`."""
        return self._state().exports

    def grants(self) -> tuple[Grant, ...]:
        """Return what is granted to it, the oldest grant first; what has ended is left out."""
        found: tuple[Grant, ...] = self._host.look(operations.grants(self.name))
        return found

    def requests(self) -> tuple[RequestState, ...]:
        """Return what the live revision asks for, and what is granted of it by which grants."""
        found: tuple[RequestState, ...] = self._host.look(operations.requests(self.name))
        return found

    def suggest(self) -> str:
        """Return the least request that covers what it used while it was learning."""
        found: str = self._host.look(operations.suggestion(self.name))
        return found

    def statistics(self) -> DeploymentStatistics:
        """Return what its calls came to and used since the host was opened, by revision."""
        found: DeploymentStatistics = self._host.look(operations.statistics(self.name))
        return found

    def usage(self) -> Usage:
        """Return what it used since the host was opened, and its ceilings."""
        found: Usage = self._host.look(operations.usage(name=self.name))
        return found

    def history(self) -> tuple[Revision, ...]:
        """Return every revision, the first one first. `revision` is the live one."""
        found: tuple[Revision, ...] = self._host.look(operations.history(self.name))
        return found

    def rollouts(self) -> tuple[RolloutRecord, ...]:
        """Return every movement between revisions, the first one first: who, when and why."""
        found: tuple[RolloutRecord, ...] = self._host.look(operations.rollouts(self.name))
        return found

    def logs(self, *, level: LogLevel = "trace", since: float = 0.0) -> tuple[LogLine, ...]:
        """Return what its guests logged last, the oldest line first.

        Args:
            level: The least level: `trace`, `debug`, `info`, `warning`, `error`.
            since: The earliest moment, in seconds since 1970.
        """
        request = operations.logs(self.name, level=level, since=since)
        found: tuple[LogLine, ...] = self._host.look(request)
        return found

    def _implementing(self, contract: Callable[..., P], *, awaited: bool) -> P:
        from airssys.wasm.contracts.offers import needed  # noqa: PLC0415 - few need it

        wanted = needed(contract)
        assert wanted is not None, "a contract is given"  # noqa: S101
        self._host.look(operations.implements(self.name, wanted.required))
        call = self.call  # type: ignore[attr-defined]  # both forms have one
        return cast("P", wanted.client(call, awaited=awaited))

    def _state(self) -> DeploymentState:
        found: DeploymentState = self._host.look(operations.deployment(self.name))
        return found

    def _functions(self, call: Callable[..., Any]) -> Api:
        if self._api is None:
            self._api = _RemoteApi(call, self.exports, lambda: self.exports)
        return self._api

    def _grant_request(
        self,
        what: Asked | str | Sequence[str] | None,
        until: dt.datetime | None,
        **more: Any,
    ) -> Request:
        from airssys.wasm.security.inputs import capabilities_from  # noqa: PLC0415 - as above
        from airssys.wasm.settings import moment_of  # noqa: PLC0415 - as above

        given: dict[str, Any] = {}
        if isinstance(what, str):
            given["places"] = [what]
        elif isinstance(what, (Capabilities, Mapping)):
            given["capabilities"] = msgspec.to_builtins(capabilities_from(what))
        elif what is not None:
            given["places"] = list(what)
        moment_of(until)  # or say that it has no time zone
        end = None if until is None else until.isoformat()
        return operations.grant(self.name, GrantRequest(until=end, **given, **more))

    def _revoke_request(
        self, grants: Grant | int | Sequence[Grant | int] | Literal["all"], **more: Any
    ) -> Request:
        ids: list[int] | None = None
        if grants != "all":
            several = (grants,) if isinstance(grants, (Grant, int)) else grants
            ids = [each.id if isinstance(each, Grant) else int(each) for each in several]
        return operations.revoke(self.name, RevokeRequest(grants=ids, **more))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class ConnectedDeployment(_Deployment):
    """A live name of a server. Made by a `ConnectedHost`; used as a `Deployment`."""

    __slots__ = ()

    _host: ConnectedHost

    async def call(self, function: str, /, *arguments: Any, **named: Any) -> Any:
        """Call a function of the live revision; see `Deployment.call`.

        Cancelling closes the connection; the server drops the instance then, and the guest does not
        go on.

        Raises:
            ServerUnreachable: There is no server, or it went away; whether the guest was called is
                not known then.
            ValueStays: An argument or the result cannot leave its process.
        """
        request = operations.call(self.name, function, arguments, named)
        return _returned(await self._host.send(request))

    async def call_for(
        self, key: str | bytes, function: str, /, *arguments: Any, **named: Any
    ) -> Any:
        """Call a function on behalf of somebody; see `Deployment.call_for` and `call`."""
        request = operations.call(self.name, function, arguments, named, key)
        return _returned(await self._host.send(request))

    @property
    def api(self) -> Api:
        """The functions as attributes: `await deployment.api.add(2, 3)`."""
        return self._functions(self.call)

    def implementing(self, contract: Callable[..., P]) -> P:
        """Return the deployment as an object of a contract; see `Deployment.implementing`."""
        return self._implementing(contract, awaited=True)

    def actor(self, key: str = "") -> ConnectedActor:
        """Return the address of one of its actors; one that is not there starts with its use."""
        from airssys.wasm.remote.actor import ConnectedActor  # noqa: PLC0415 - it needs all codecs

        return ConnectedActor(self._host, self.name, key)

    async def start(self, key: str = "") -> ConnectedActor:
        """Return the address of one of its actors once it runs; see `Deployment.start`."""
        await self._host.send(operations.actor(self.name, key))
        from airssys.wasm.remote.actor import ConnectedActor  # noqa: PLC0415 - it needs all codecs

        return ConnectedActor(self._host, self.name, key)

    @overload
    async def deploy(
        self,
        source: Source,
        *,
        strategy: Strategy | None = None,
        wait: Literal[True] = True,
        grant: Literal["requested", "none"] | None = None,
        who: str | None = None,
        why: str = "",
        allow_downgrade: bool = False,
        **settings: Unpack[SettingsGiven],
    ) -> ConnectedDeployment: ...
    @overload
    async def deploy(
        self,
        source: Source,
        *,
        strategy: Strategy | None = None,
        wait: Literal[False],
        grant: Literal["requested", "none"] | None = None,
        who: str | None = None,
        why: str = "",
        allow_downgrade: bool = False,
        **settings: Unpack[SettingsGiven],
    ) -> ConnectedRollout: ...
    async def deploy(
        self,
        source: Source,
        *,
        strategy: Strategy | None = None,
        wait: bool = True,
        grant: Literal["requested", "none"] | None = None,
        who: str | None = None,
        why: str = "",
        allow_downgrade: bool = False,
        **settings: Unpack[SettingsGiven],
    ) -> ConnectedDeployment | ConnectedRollout:
        """Make a component the live revision; see `Deployment.deploy`.

        The judges of a canary are Python of the server's process and cannot be given here.
        """
        from airssys.wasm.remote.settings import with_changes  # noqa: PLC0415 - most deploy nothing

        before = self.rollouts()[-1].id
        deployed = await self._host.deploy_as(
            source,
            self.name,
            with_changes(self.revision.settings, settings, self._host.address),
            inherited="capabilities" not in settings,
            grant=grant,
            who=who,
            why=why,
            allow_downgrade=allow_downgrade,
            strategy=strategy,
        )
        if not wait:
            return self.rollout()
        if self.rollouts()[-1].id != before:
            refuse_taken_back(await self.rollout().wait())
        return deployed

    def rollout(self) -> ConnectedRollout:
        """Return the last movement to another revision, which may be under way."""
        return ConnectedRollout(self._host, self.name)

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
        """Grant capabilities, durably and at once; see `Deployment.grant`."""
        request = self._grant_request(what, until, why=why, act_as=act_as, caller=caller, who=who)
        made: tuple[Grant, ...] = await self._host.send(request)
        return made

    async def revoke(
        self,
        grants: Grant | int | Sequence[Grant | int] | Literal["all"],
        *,
        wait: bool = False,
        why: str = "",
        who: str | None = None,
    ) -> tuple[Grant, ...]:
        """Take grants back, durably and at once; see `Deployment.revoke`."""
        request = self._revoke_request(grants, wait=wait, why=why, who=who)
        taken: tuple[Grant, ...] = await self._host.send(request)
        return taken

    async def rollback(
        self, to: int | None = None, *, who: str | None = None, why: str = ""
    ) -> Revision:
        """Make an earlier revision live again; see `Deployment.rollback`."""
        what = RollbackRequest(to=to, who=who, why=why)
        state: DeploymentState = await self._host.send(operations.rollback(self.name, what))
        return state.revision

    async def remove(self, *, who: str | None = None, why: str = "") -> None:
        """End the deployment; see `Deployment.remove`."""
        await self._host.send(operations.remove(self.name, who=who, why=why))


class BlockingConnectedDeployment(_Deployment):
    """A live name of a server. Made by a `BlockingConnectedHost`; as a `BlockingDeployment`."""

    __slots__ = ()

    _host: BlockingConnectedHost

    def call(self, function: str, /, *arguments: Any, **named: Any) -> Any:
        """Call a function of the live revision and wait; see `ConnectedDeployment.call`."""
        return _returned(self._host.look(operations.call(self.name, function, arguments, named)))

    def call_for(self, key: str | bytes, function: str, /, *arguments: Any, **named: Any) -> Any:
        """Call a function on somebody's behalf and wait; see `ConnectedDeployment.call_for`."""
        request = operations.call(self.name, function, arguments, named, key)
        return _returned(self._host.look(request))

    @property
    def storage(self) -> ConnectedNamespace:
        """What the deployment stores, one request each; see `BlockingDeployment.storage`."""
        return self._host.storage.namespace(self.name)

    @property
    def api(self) -> Api:
        """The functions as attributes: `deployment.api.add(2, 3)`."""
        return self._functions(self.call)

    def implementing(self, contract: Callable[..., P]) -> P:
        """Return the deployment as an object of a contract; see `Deployment.implementing`."""
        return self._implementing(contract, awaited=False)

    def actor(self, key: str = "") -> BlockingConnectedActor:
        """Return one of its actors, started where it is not there; see `Deployment.actor`."""
        self._host.look(operations.actor(self.name, key))
        from airssys.wasm.remote.actor import BlockingConnectedActor  # noqa: PLC0415 - as above

        return BlockingConnectedActor(self._host, self.name, key)

    @overload
    def deploy(
        self,
        source: Source,
        *,
        strategy: Strategy | None = None,
        wait: Literal[True] = True,
        grant: Literal["requested", "none"] | None = None,
        who: str | None = None,
        why: str = "",
        allow_downgrade: bool = False,
        **settings: Unpack[SettingsGiven],
    ) -> BlockingConnectedDeployment: ...
    @overload
    def deploy(
        self,
        source: Source,
        *,
        strategy: Strategy | None = None,
        wait: Literal[False],
        grant: Literal["requested", "none"] | None = None,
        who: str | None = None,
        why: str = "",
        allow_downgrade: bool = False,
        **settings: Unpack[SettingsGiven],
    ) -> BlockingConnectedRollout: ...
    def deploy(
        self,
        source: Source,
        *,
        strategy: Strategy | None = None,
        wait: bool = True,
        grant: Literal["requested", "none"] | None = None,
        who: str | None = None,
        why: str = "",
        allow_downgrade: bool = False,
        **settings: Unpack[SettingsGiven],
    ) -> BlockingConnectedDeployment | BlockingConnectedRollout:
        """Make a component the live revision; see `Deployment.deploy`.

        The judges of a canary are Python of the server's process and cannot be given here.
        """
        from airssys.wasm.remote.settings import with_changes  # noqa: PLC0415 - most deploy nothing

        before = self.rollouts()[-1].id
        deployed = self._host.deploy_as(
            source,
            self.name,
            with_changes(self.revision.settings, settings, self._host.address),
            inherited="capabilities" not in settings,
            grant=grant,
            who=who,
            why=why,
            allow_downgrade=allow_downgrade,
            strategy=strategy,
        )
        if not wait:
            return self.rollout()
        if self.rollouts()[-1].id != before:
            refuse_taken_back(self.rollout().wait())
        return deployed

    def rollout(self) -> BlockingConnectedRollout:
        """Return the last movement to another revision, which may be under way."""
        return BlockingConnectedRollout(self._host, self.name)

    def difference(self, before: int, after: int) -> RevisionDifference:
        """Return what differs between two revisions; see `BlockingDeployment.difference`."""
        request = operations.difference(self.name, before, after)
        found: RevisionDifference = self._host.look(request)
        return found

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
        request = self._grant_request(what, until, why=why, act_as=act_as, caller=caller, who=who)
        made: tuple[Grant, ...] = self._host.look(request)
        return made

    def revoke(
        self,
        grants: Grant | int | Sequence[Grant | int] | Literal["all"],
        *,
        wait: bool = False,
        why: str = "",
        who: str | None = None,
    ) -> tuple[Grant, ...]:
        """Take grants back, durably and at once; see `Deployment.revoke`."""
        request = self._revoke_request(grants, wait=wait, why=why, who=who)
        taken: tuple[Grant, ...] = self._host.look(request)
        return taken

    def rollback(self, to: int | None = None, *, who: str | None = None, why: str = "") -> Revision:
        """Make an earlier revision live again; see `BlockingDeployment.rollback`."""
        what = RollbackRequest(to=to, who=who, why=why)
        state: DeploymentState = self._host.look(operations.rollback(self.name, what))
        return state.revision

    def remove(self, *, who: str | None = None, why: str = "") -> None:
        """End the deployment; see `BlockingDeployment.remove`."""
        self._host.look(operations.remove(self.name, who=who, why=why))


def _returned(packed: bytes) -> Any:
    """Return the result of a call, or raise the error that the guest returned."""
    result = values.unpack(packed)
    if isinstance(result, Err):
        raise GuestError(result.value)
    return result.value
