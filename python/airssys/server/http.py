"""HTTP from outside to the deployments of a host that is served."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Literal

from airssys.errors import AirsSysError
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.ingress import HttpRoute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airssys.wasm.host import Host
    from airssys.wasm.host_events import HostEvent
    from airssys.wasm.ingress import Ingress

__all__ = ["HttpFront", "read_route"]

_log: Final = logging.getLogger("airssys.server")
#: What changes which rules have a deployment.
_CHANGES: Final = frozenset({"deployed", "rolled-back", "removed"})


def read_route(text: str) -> HttpRoute:
    """Read a rule: `[HOST]/PATH=DEPLOYMENT[:HANDLING]`, where HANDLING is `http` or a function.

    `functions` calls the function that the path names; any other word is the function itself.

    Raises:
        InvalidSetting: It is none.
    """
    place, separator, target = text.partition("=")
    deployment, _, how = target.partition(":")
    host, slash, path = place.partition("/")
    if not separator or not slash or not deployment:
        raise InvalidSetting(
            f"{text!r} is no rule for requests",
            hint="as /=acme/site, /calc=acme/calc:functions or shop.example/=acme/shop",
        )
    handling: Literal["http", "functions", "function"] = "function"
    if how in {"", "http"}:
        handling = "http"
    elif how == "functions":
        handling = "functions"
    return HttpRoute(
        deployment,
        path="/" + path,
        host=host or None,
        handling=handling,
        function=how if handling == "function" else None,
    )


class HttpFront:
    """Listens at addresses, and follows deployments that come and go.

    A rule whose deployment is not there yet, or not any more, holds from when it is; an actor
    takes no requests.

    Args:
        host: It is open.
        routes: The rules.
    """

    def __init__(self, host: Host, routes: Sequence[HttpRoute]) -> None:
        self._host = host
        self._wanted = tuple(routes)
        self._loop = asyncio.get_running_loop()
        self.ingresses: list[Ingress] = []
        _, self._unhear = host._core.events.listen(self._hear)  # noqa: SLF001 - its own front

    async def listen(self, address: str) -> None:
        """Listen at an address too.

        Raises:
            AddressUnavailable: It cannot be had.
        """
        self.ingresses.append(await self._host.serve_http(address, routes=self._present()))

    @property
    def missing(self) -> tuple[str, ...]:
        """Deployments to which a rule leads, and that are not there or take no requests."""
        present = {each.deployment for each in self._present()}
        return tuple(
            sorted({each.deployment for each in self._wanted if each.deployment not in present})
        )

    def _present(self) -> list[HttpRoute]:
        names = {
            each.name
            for each in self._host.deployments()
            if each.revision.settings.lifetime != "actor"
        }
        return [each for each in self._wanted if each.deployment in names]

    def _hear(self, event: HostEvent) -> None:
        if event.kind in _CHANGES and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._follow)

    def _follow(self) -> None:
        present = self._present()
        for ingress in self.ingresses:
            try:
                ingress.set_routes(present)
            except AirsSysError as error:  # removed meanwhile, of which there is word to come
                _log.warning("rules for requests stay as they were: %s", error)

    async def close(self, drain: float) -> None:
        """Take nothing new, and wait so many seconds for what is under way."""
        self._unhear()
        await asyncio.gather(*(each.close(drain) for each in self.ingresses))
