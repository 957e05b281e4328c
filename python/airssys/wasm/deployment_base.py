"""What a deployment is in both of its forms, awaited and blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from airssys.wasm.api import Api
from airssys.wasm.contracts.offers import needed
from airssys.wasm.delivery.plan import RevisionDifference, revision_difference
from airssys.wasm.deployment_name import namespace_of
from airssys.wasm.host_errors import HostClosed, InvalidSetting
from airssys.wasm.security.asking import granting_of, request_states
from airssys.wasm.security.grant import Grant
from airssys.wasm.settings import settings_changed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from airssys.wasm.accounting import DeploymentStatistics
    from airssys.wasm.actors.log_line import LogLevel, LogLine
    from airssys.wasm.component import Component
    from airssys.wasm.contracts.contract import Contract
    from airssys.wasm.deployment_changes import Changes
    from airssys.wasm.host_core import HostCore
    from airssys.wasm.quotas import Usage
    from airssys.wasm.revision import Revision, RolloutRecord, Settings
    from airssys.wasm.security.grant import RequestState
    from airssys.wasm.security.grants import Granting
    from airssys.wasm.security.inputs import Asked
    from airssys.wasm.serving import Serving

__all__ = ["DeploymentBase", "grant_ids", "key_bytes"]

P = TypeVar("P")


class DeploymentBase:
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
        self._core.deployments.refuse_held(self._serving)
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
            self._core.deployments.refuse_held(self._serving)
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


def key_bytes(key: str | bytes) -> bytes:
    """Return on whose behalf a call is made, as the route takes it."""
    return key.encode() if isinstance(key, str) else key


def grant_ids(grants: Grant | int | Sequence[Grant | int] | Literal["all"]) -> list[int] | None:
    """Return the ids of grants; None for all.

    Raises:
        InvalidSetting: One of them is no grant.
    """
    if grants == "all":
        return None
    several = (grants,) if isinstance(grants, (Grant, int, str)) else grants
    numbers = [each.id if isinstance(each, Grant) else each for each in several]
    for number in numbers:
        if not isinstance(number, int):
            raise InvalidSetting(f"{number!r} is no grant", hint="pass grants, their ids, or 'all'")
    return numbers
