"""A host for programs without an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from airssys.wasm.deployment import BlockingDeployment
from airssys.wasm.host_core import HostCore, settings_from

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airssys.wasm.actors.hooks import Hooks
    from airssys.wasm.actors.settings import ActorSettings
    from airssys.wasm.host_core import Source
    from airssys.wasm.limits import Limits
    from airssys.wasm.quotas import Ceilings, HostCeilings, LimitNotice, Usage
    from airssys.wasm.revision import Lifetime, Settings
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
        directory: str | os.PathLike[str],
        *,
        provides: Mapping[str, Any] | None = None,
        admission: Admission = "any",
        storage: StorageSettings | None = None,
        ceilings: HostCeilings | None = None,
    ) -> Self:
        """Open a state directory; see `Host.open_blocking`."""
        return cls(
            HostCore(directory, provides, admission=admission, storage=storage, ceilings=ceilings)
        )

    @property
    def directory(self) -> Path:
        """The state directory, absolute."""
        return self._core.directory

    @property
    def storage(self) -> BlockingStorage:
        """What the deployments store; see `Host.storage`."""
        return self._core.storage

    def deploy(
        self,
        source: Source,
        *,
        name: str,
        lifetime: Lifetime = "call",
        limits: Limits | None = None,
        instances: int = 8,
        drain: float = 30.0,
        keep: int = 5,
        actor: ActorSettings | None = None,
        ceilings: Ceilings | None = None,
        hooks: Hooks | None = None,
        who: str | None = None,
        why: str = "",
        allow_downgrade: bool = False,
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
        )
        return self._deploy(
            source, name, settings, hooks, who, why, allow_downgrade=allow_downgrade
        )

    def deployment(self, name: str) -> BlockingDeployment:
        """Return a deployment; see `Host.deployment`."""
        return BlockingDeployment(self, self._core, self._core.serving(name))

    def deployments(self) -> tuple[BlockingDeployment, ...]:
        """Return the deployments, by name."""
        return tuple(self.deployment(name) for name in self._core.names())

    def usage(self, namespace: str | None = None) -> Usage:
        """Return what was used since the host was opened; see `Host.usage`."""
        return self._core.usage(namespace)

    def on_limit(self, listener: Callable[[LimitNotice], object]) -> Callable[[], None]:
        """Tell of limits that come near or are reached; see `Host.on_limit`."""
        return self._core.ledger.reports.listen(listener)

    def call(self, name: str, function: str, /, *arguments: Any, **named: Any) -> Any:
        """Call a function of a deployment; see `Deployment.call`."""
        return self.deployment(name).call(function, *arguments, **named)

    def close(self, timeout: float | None = None) -> None:
        """Close the host; see `Host.close`."""
        self._core.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _deploy(
        self,
        source: Source,
        name: str,
        settings: Settings,
        hooks: Hooks | None,
        who: str | None,
        why: str,
        *,
        allow_downgrade: bool,
    ) -> BlockingDeployment:
        serving = self._core.deploy(
            source,
            name=name,
            settings=settings,
            hooks=hooks,
            who=who,
            why=why,
            allow_downgrade=allow_downgrade,
        )
        return BlockingDeployment(self, self._core, serving)
