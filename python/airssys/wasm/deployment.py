"""A deployment, awaited."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from airssys.wasm.delivery.records import refuse_taken_back
from airssys.wasm.delivery.rollout import Rollout
from airssys.wasm.deployment_base import DeploymentBase, grant_ids, key_bytes
from airssys.wasm.host_errors import HostClosed
from airssys.wasm.storage import Namespace

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Awaitable, Callable, Sequence
    from concurrent.futures import Future
    from typing import Unpack

    from airssys.wasm.actors.child import ComponentChild
    from airssys.wasm.actors.ref import ComponentRef
    from airssys.wasm.delivery.strategies import Strategy
    from airssys.wasm.deployment_changes import Changes
    from airssys.wasm.host import Host
    from airssys.wasm.host_core import HostCore
    from airssys.wasm.host_inputs import Source
    from airssys.wasm.revision import Revision
    from airssys.wasm.security.grant import Grant
    from airssys.wasm.security.inputs import Asked
    from airssys.wasm.serving import Serving

__all__ = ["Deployment"]

P = TypeVar("P")


class Deployment(DeploymentBase):
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
        return self._call(function, arguments, named, key_bytes(key))

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
            self._core.rights.revoke, self.name, grant_ids(grants), wait=wait, who=who, why=why
        )

    async def rollback(
        self, to: int | None = None, *, who: str | None = None, why: str = ""
    ) -> Revision:
        """Make an earlier revision live again; see `BlockingDeployment.rollback`."""
        change = self._host._change  # noqa: SLF001
        await change(self._core.changes.rollback, self.name, to, who=who, why=why)
        return self.revision

    async def remove(self, *, who: str | None = None, why: str = "") -> None:
        """End the deployment; see `BlockingDeployment.remove`."""
        await self._host._change(self._core.changes.remove, self.name, who=who, why=why)  # noqa: SLF001
