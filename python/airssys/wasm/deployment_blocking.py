"""A deployment, in blocking form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from airssys.wasm.actors.blocking_actor import BlockingActor
from airssys.wasm.delivery.records import refuse_taken_back
from airssys.wasm.delivery.rollout import BlockingRollout
from airssys.wasm.deployment_base import DeploymentBase, grant_ids, key_bytes
from airssys.wasm.host_errors import HostClosed

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from airssys.wasm.delivery.strategies import Strategy
    from airssys.wasm.deployment_changes import Changes
    from airssys.wasm.host_blocking import BlockingHost
    from airssys.wasm.host_core import HostCore
    from airssys.wasm.host_inputs import Source
    from airssys.wasm.revision import Revision
    from airssys.wasm.security.grant import Grant
    from airssys.wasm.security.inputs import Asked
    from airssys.wasm.serving import Serving
    from airssys.wasm.storage_blocking import BlockingNamespace

__all__ = ["BlockingDeployment"]

P = TypeVar("P")


class BlockingDeployment(DeploymentBase):
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
        return self._call(function, arguments, named, key_bytes(key))

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
        return self._core.rights.revoke(self.name, grant_ids(grants), wait=wait, who=who, why=why)

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
        self._core.changes.rollback(self.name, to, who=who, why=why)
        return self.revision

    def remove(self, *, who: str | None = None, why: str = "") -> None:
        """End the deployment, once the calls that run have ended or the drain deadline has passed.

        Its components and what it stored are deleted; its history stays in the state directory, its
        name becomes free.

        Raises:
            StateWriteFailed: It could not be recorded; nothing has changed.
        """
        self._core.changes.remove(self.name, who=who, why=why)
