"""A host in another process, without an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from airssys.wasm.actors.log_line import LogLine
from airssys.wasm.remote import operations
from airssys.wasm.remote.deployment import BlockingConnectedDeployment
from airssys.wasm.remote.errors import UnknownComponent
from airssys.wasm.remote.event_lines import events_of
from airssys.wasm.remote.host import ConnectedHostBase, strategy_of
from airssys.wasm.remote.oversight import Oversight
from airssys.wasm.remote.switches import BlockingSwitches
from airssys.wasm.remote.wire import CallResult, DeployRequest, PlanRequest, ReviewRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airssys.wasm.actors.live import LiveActor
    from airssys.wasm.actors.log_line import LogLevel
    from airssys.wasm.delivery.plan import Plan
    from airssys.wasm.delivery.records import RolloutStatus
    from airssys.wasm.delivery.strategies import Strategy
    from airssys.wasm.host_events import HostEvent
    from airssys.wasm.host_inputs import Source
    from airssys.wasm.remote.settings import SettingsGiven
    from airssys.wasm.remote.storage import ConnectedStorage
    from airssys.wasm.remote.wire import DeploymentState, HttpState, ListedDeployment, UploadResult
    from airssys.wasm.revision import Settings
    from airssys.wasm.security.review import Review, Reviewed

__all__ = ["BlockingConnectedHost"]


class BlockingConnectedHost(ConnectedHostBase, BlockingSwitches, Oversight):
    """A host that another process serves; made by `Host.connect_blocking`, as a `BlockingHost`.

    Safe to use from several threads. After a fork the child goes on with connections of its own.
    """

    def deploy(
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
    ) -> BlockingConnectedDeployment:
        """Make a component the live revision of a deployment; see `ConnectedHost.deploy`."""
        from airssys.wasm.remote.settings import given_settings  # noqa: PLC0415 - as below

        return self.deploy_as(
            source,
            name,
            given_settings(settings, self.address),
            grant=grant,
            who=who,
            why=why,
            allow_downgrade=allow_downgrade,
            strategy=strategy,
        )

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
    ) -> BlockingConnectedDeployment:
        """Deploy with settings that are made already."""
        what = DeployRequest(
            component=self._upload(source),
            settings=settings,
            inherited=inherited,
            grant=grant,
            approved=approved,
            who=who,
            why=why,
            allow_downgrade=allow_downgrade,
            strategy=strategy_of(strategy),
        )
        self.look(operations.deploy(name, what))
        return BlockingConnectedDeployment(self, name)

    def review(
        self,
        source: Source,
        *,
        name: str,
        settings: Settings,
        allow_downgrade: bool = False,
        inherited: bool = False,
    ) -> Review:
        """Return what a component would ask for as a revision of a deployment; nothing changes."""
        what = ReviewRequest(
            component=self._upload(source),
            settings=settings,
            allow_downgrade=allow_downgrade,
            inherited=inherited,
        )
        found: Review = self.look(operations.review(name, what))
        return found

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
        """Return what deploying a component would change; see `BlockingHost.plan`."""
        what = PlanRequest(
            component=self._upload(source),
            settings=settings,
            allow_downgrade=allow_downgrade,
            inherited=inherited,
            strategy=strategy_of(strategy),
        )
        found: Plan = self.look(operations.plan(name, what))
        return found

    def deployment(self, name: str) -> BlockingConnectedDeployment:
        """Return a deployment; see `Host.deployment`.

        Raises:
            UnknownDeployment: There is none of this name.
        """
        self.look(operations.deployment(name))
        return BlockingConnectedDeployment(self, name)

    def deployments(self) -> tuple[BlockingConnectedDeployment, ...]:
        """Return the deployments, by name."""
        return tuple(BlockingConnectedDeployment(self, name) for name in self._names())

    def states(self) -> tuple[DeploymentState, ...]:
        """Return how each deployment is, by name."""
        found: tuple[DeploymentState, ...] = self.look(operations.deployments())
        return found

    def records(self) -> tuple[ListedDeployment, ...]:
        """Return what is on record of each deployment, by name."""
        found: tuple[ListedDeployment, ...] = self.look(operations.records())
        return found

    def http(self) -> tuple[HttpState, ...]:
        """Return where requests from outside come in, and what came of them."""
        found: tuple[HttpState, ...] = self.look(operations.http())
        return found

    def rollouts(self) -> tuple[RolloutStatus, ...]:
        """Return where the rollouts are that are under way, by deployment."""
        found: tuple[RolloutStatus, ...] = self.look(operations.active_rollouts())
        return found

    def actors(self, name: str) -> tuple[LiveActor, ...]:
        """Return the actors of a deployment as they run."""
        found: tuple[LiveActor, ...] = self.look(operations.actors(name))
        return found

    @property
    def storage(self) -> ConnectedStorage:
        """What the deployments store; see `BlockingHost.storage`."""
        from airssys.wasm.remote.storage import ConnectedStorage  # noqa: PLC0415 - most need none

        return ConnectedStorage(self)

    def call(self, name: str, function: str, /, *arguments: Any, **named: Any) -> Any:
        """Call a function of a deployment; see `ConnectedDeployment.call`."""
        return BlockingConnectedDeployment(self, name).call(function, *arguments, **named)

    def call_text(self, name: str, text: str, key: str | None = None) -> CallResult:
        """Call a function in WAVE: `add(2, 3)`; on behalf of whom `key` names."""
        found: CallResult = self.look(operations.call_text(name, text, key))
        return found

    def events(self, *, follow: bool = True, after: int | None = None) -> Iterator[HostEvent | int]:
        """Yield what happens, until the server ends; a number says how many events are missing.

        Args:
            follow: Go on; else end with the last that has happened.
            after: Begin with what the server keeps of the events after this one.

        Raises:
            ServerUnreachable: It went away.
        """
        lines = self._blocking.lines(operations.events(follow=follow, after=after))
        return events_of(lines)

    def log(
        self, name: str, *, follow: bool = False, level: LogLevel = "trace", since: float = 0.0
    ) -> Iterator[LogLine]:
        """Yield what is kept of a deployment's log, the oldest line first.

        Args:
            name: The deployment.
            follow: Go on with each line as it comes, until the server ends.
            level: The least level: `trace`, `debug`, `info`, `warning`, `error`.
            since: The earliest moment, in seconds since 1970.

        Raises:
            UnknownDeployment: There is none of this name.
            ServerUnreachable: It went away.
        """
        asked = operations.log(name, follow=follow, level=level, since=since)
        for line in self._blocking.lines(asked):
            if line:  # an empty one says that the server is there
                yield LogLine.decode(line.encode())

    def close(self) -> None:
        """Close the connections; the host goes on."""
        self._blocking.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _upload(self, source: Source) -> str:
        from airssys.wasm.remote.settings import content_of  # noqa: PLC0415 - most deploy nothing

        content = content_of(source)
        try:
            held: UploadResult = self.look(operations.uploaded(content))
        except UnknownComponent:
            held = self.look(operations.upload(content))
        return held.digest
