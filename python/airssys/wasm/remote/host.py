"""A host in another process, from an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from airssys.wasm.remote import operations
from airssys.wasm.remote.address import read_address
from airssys.wasm.remote.blocking_client import BlockingClient
from airssys.wasm.remote.deployment import ConnectedDeployment
from airssys.wasm.remote.errors import UnknownComponent
from airssys.wasm.remote.switches import Switches
from airssys.wasm.remote.wire import DeployRequest

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable

    from airssys.wasm.delivery.strategies import Strategy
    from airssys.wasm.host_inputs import Source
    from airssys.wasm.quotas import Usage
    from airssys.wasm.remote.request import Request
    from airssys.wasm.remote.settings import SettingsGiven
    from airssys.wasm.remote.wire import DeploymentState, HostState, UploadResult
    from airssys.wasm.revision import Settings
    from airssys.wasm.security.review import Reviewed

__all__ = ["ConnectedHost"]


class ConnectedHostBase:
    """What the awaited and the blocking form have.

    Args:
        address: Of the server: `unix:state/control.sock`, `https://host.example:7700`.
        token: What proves who asks, on TCP.
        tls: How the server is recognised; as the system does by default.

    Raises:
        InvalidAddress: It is none.
    """

    def __init__(
        self, address: str, *, token: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        #: Of the server.
        self.address = read_address(address)
        self._token = token
        self._tls = tls
        self._blocking = BlockingClient(self.address, token, tls)

    def look(self, request: Request) -> Any:
        """Send a request and block until it is answered."""
        return self._blocking.send(request)

    def state(self) -> HostState:
        """Return what the server says of itself, and of who asks; one short request, which blocks.

        Raises:
            ServerUnreachable: There is no server at the address.
            NotAuthenticated: It does not know who asks.
        """
        found: HostState = self.look(operations.host())
        return found

    def usage(self, namespace: str | None = None) -> Usage:
        """Return what was used since the host was opened; see `Host.usage`."""
        found: Usage = self.look(operations.usage(namespace))
        return found

    def _names(self) -> list[str]:
        found: tuple[DeploymentState, ...] = self.look(operations.deployments())
        return [each.name for each in found]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"


class ConnectedHost(ConnectedHostBase, Switches):
    """A host that another process serves; made by `Host.connect` and used as a `Host`.

    What a `Host` answers without `await` is one short request here, which blocks the event loop
    while the server answers. After a fork the child goes on with connections of its own.
    """

    def __init__(
        self, address: str, *, token: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(address, token=token, tls=tls)
        # The blocking form needs no event loop.
        from airssys.wasm.remote.awaited_client import AwaitedClient  # noqa: PLC0415

        self._client = AwaitedClient(self.address, token, tls)

    async def send(self, request: Request) -> Any:
        """Send a request and await the answer."""
        return await self._client.send(request)

    async def deploy(
        self,
        source: Source,
        *,
        name: str,
        grant: Literal["requested", "none"] | None = None,
        who: str | None = None,
        why: str = "",
        allow_downgrade: bool = False,
        strategy: Strategy | None = None,
        **settings: Unpack[SettingsGiven],
    ) -> ConnectedDeployment:
        """Make a component the live revision of a deployment; see `Host.deploy`.

        The component is uploaded, and checked against its digest there. Hooks are Python of the
        server's process and cannot be given here.

        Args:
            source: A path of this machine, or the component itself.
            name: The deployment.
            grant: `requested` grants what it asks for; needs the role `approve`.
            who: For whom it is done; the history names who asks besides.
            why: The reason, for the history.
            allow_downgrade: Let in a lower signed version.
            strategy: How it takes over, without judges; as for `Host.deploy`.
            settings: How it is run, as for `Host.deploy`.

        Raises:
            RoleNeeded: Who asks may not deploy, or not grant.
            RequestTooLarge: The component has more bytes than the server takes.
            AirsSysError: As for `Host.deploy`.
        """
        from airssys.wasm.remote.settings import given_settings  # noqa: PLC0415 - as below

        return await self.deploy_as(
            source,
            name,
            given_settings(settings, self.address),
            grant=grant,
            who=who,
            why=why,
            allow_downgrade=allow_downgrade,
            strategy=strategy,
        )

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
    ) -> ConnectedDeployment:
        """Deploy with settings that are made already."""
        from airssys.wasm.remote.settings import content_of  # noqa: PLC0415 - most deploy nothing

        content = content_of(source)
        try:
            uploaded: UploadResult = await self.send(operations.uploaded(content))
        except UnknownComponent:
            uploaded = await self.send(operations.upload(content))
        what = DeployRequest(
            component=uploaded.digest,
            settings=settings,
            inherited=inherited,
            grant=grant,
            approved=approved,
            who=who,
            why=why,
            allow_downgrade=allow_downgrade,
            strategy=strategy_of(strategy),
        )
        await self.send(operations.deploy(name, what))
        return ConnectedDeployment(self, name)

    def deployment(self, name: str) -> ConnectedDeployment:
        """Return a deployment; see `Host.deployment`.

        Raises:
            UnknownDeployment: There is none of this name.
        """
        self.look(operations.deployment(name))
        return ConnectedDeployment(self, name)

    def deployments(self) -> tuple[ConnectedDeployment, ...]:
        """Return the deployments, by name."""
        return tuple(ConnectedDeployment(self, name) for name in self._names())

    def call(self, name: str, function: str, /, *arguments: Any, **named: Any) -> Awaitable[Any]:
        """Call a function of a deployment; see `ConnectedDeployment.call`."""
        return ConnectedDeployment(self, name).call(function, *arguments, **named)

    async def close(self) -> None:
        """Close the connections; the host goes on."""
        self._client.close()
        self._blocking.close()

    async def __aenter__(self) -> Self:
        try:
            await self.send(operations.host())  # or say that there is no server, or that it refuses
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


def strategy_of(strategy: Strategy | None) -> dict[str, Any] | None:
    """Return a strategy as a request has it."""
    if strategy is None:
        return None
    from airssys.wasm.delivery.strategies import strategy_fields  # noqa: PLC0415 - as above

    return strategy_fields(strategy)
