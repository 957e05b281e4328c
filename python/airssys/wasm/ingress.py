"""HTTP from outside to deployments: rules, limits, and the ingress that goes by them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import threading
from typing import TYPE_CHECKING, Any, Final, Self

from airssys.wasm._native import _core
from airssys.wasm.host_errors import DeploymentIsActor, HostError, InvalidSetting
from airssys.wasm.ingress_records import HttpRoute, HttpStatistics
from airssys.wasm.limits import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from airssys.wasm.actors.host_actors import HostActors
    from airssys.wasm.host_core import HostCore
    from airssys.wasm.serving import Serving

__all__ = [
    "AddressUnavailable",
    "BlockingIngress",
    "HttpLimits",
    "HttpRoute",
    "HttpStatistics",
    "Ingress",
    "Ingresses",
]

_log: Final = logging.getLogger("airssys.wasm.ingress")
#: Seconds that requests under way get, where nothing else is said.
DRAIN: Final = 10.0


class AddressUnavailable(HostError, OSError):
    """An address cannot be listened on."""

    default_code = "address-unavailable"


@dataclasses.dataclass(frozen=True, slots=True)
class HttpLimits:
    """What clients may ask of an ingress.

    Attributes:
        connections: Open at a time; more are closed at once.
        requests: Answered at a time.
        waiting: Requests that may wait for one of those to end; more get 503 at once.
        patience: Seconds for which they wait before they get 503.
        header_bytes: Bytes of a request's line and headers (`"32KiB"`).
        headers: How many headers a request may have.
        body_bytes: Bytes of a request's body (`"16MiB"`).
        header_time: Seconds for the head of a request to arrive, and for which a connection may
            stay idle.
        silence: Seconds for which a client may send nothing of a body, or read nothing of an
            answer.
        request_time: Seconds from the head of a request to the end of its answer.

    Raises:
        ValueError: A value is out of range.
    """

    connections: int = 1024
    requests: int = 512
    waiting: int = 512
    patience: float = 1.0
    header_bytes: int | str = "32KiB"
    headers: int = 100
    body_bytes: int | str = "16MiB"
    header_time: float = 30.0
    silence: float = 30.0
    request_time: float = 300.0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("header_bytes", "body_bytes"):
                value = parse_bytes(value, name=field.name)
            least = 0 if field.name in ("waiting", "patience", "body_bytes") else 1e-3
            if not least <= value < 1 << 40:
                raise ValueError(f"{field.name} is {value!r}, which is out of range")

    def _native(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ("header_bytes", "body_bytes"):
            values[name] = parse_bytes(values[name], name=name)
        return values


class _Ingress:
    """What both forms have."""

    __slots__ = ("__weakref__", "_changing", "_core", "_native", "_routes", "_used")

    def __init__(
        self, core: HostCore, listen: str, routes: Sequence[HttpRoute], limits: HttpLimits | None
    ) -> None:
        self._core = core
        self._changing = threading.Lock()
        self._routes = tuple(routes)
        self._used: dict[str, Serving] = {}
        native = (limits or HttpLimits())._native()  # noqa: SLF001 - of this module
        rules = self._rules(self._routes)
        try:
            self._native = _core.Ingress(
                listen, rules, core.ingresses.host_calls(core.actors), **native
            )
        except ValueError as error:
            raise _invalid(error) from None
        except OSError as error:
            raise AddressUnavailable(
                f"cannot listen on {listen}: {_why(listen, error)}",
                hint="give another address, or end what listens there",
            ) from error
        core.ingresses.add(self)

    @property
    def address(self) -> str:
        """Where it listens, with the port that was chosen: `127.0.0.1:8080`, `unix:/run/a.sock`."""
        return self._native.address

    @property
    def routes(self) -> tuple[HttpRoute, ...]:
        """The routes that it goes by."""
        return self._routes

    def set_routes(self, routes: Sequence[HttpRoute]) -> None:
        """Go by other routes, all of them, from the next request on.

        Raises:
            UnknownDeployment: A route is to a deployment that does not exist.
            InvalidSetting: Two routes are for the same, or a host or path is none. Nothing changes.
            DeploymentIsActor: A route is to a deployment that takes messages.
            HostClosed: The host is closed.
        """
        with self._changing:
            used = self._used
            try:
                self._native.set_rules(self._rules(routes))
            except BaseException as error:
                self._used = used
                if type(error) is ValueError:
                    raise _invalid(error) from None
                raise
            self._routes = tuple(routes)

    def statistics(self) -> HttpStatistics:
        """Return what came in since it began to listen."""
        return HttpStatistics(**self._native.statistics())

    def _close(self, drain: float) -> None:
        self._core.ingresses.remove(self)
        self._native.close(drain)

    def _changed(self, serving: Serving) -> None:
        """Go by a deployment that took the name of one that was removed."""
        with self._changing:
            known = self._used.get(serving.name)
            if known is not None and known is not serving:
                self._native.set_rules(self._rules(self._routes))

    def _rules(self, routes: Sequence[HttpRoute]) -> list[Any]:
        used: dict[str, Serving] = {}
        rules = []
        for route in routes:
            serving = self._core.deployments.serving(route.deployment)
            if serving.make is not None:
                raise DeploymentIsActor(
                    f"deployment '{route.deployment}' is an actor and takes messages, not requests",
                    hint="give a route to a deployment of lifetime 'call' or 'pooled'",
                )
            used[route.deployment] = serving
            rules.append(
                (
                    route.host,
                    route.exact,
                    route.path,
                    route.handling,
                    route.function,
                    route.key_source(),
                    serving.route,
                )
            )
        self._used = used
        return rules

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"


class BlockingIngress(_Ingress):
    """Listens for HTTP requests and answers them by deployments; made by `serve_http`.

    Requests reach a deployment without entering Python: through its route (and so the revision that
    is tried, if one is), its quota, its gate and its statistics.
    """

    __slots__ = ()

    def close(self, drain: float = DRAIN) -> None:
        """Take no connection any more, and wait for the requests that are under way.

        Args:
            drain: Seconds after which those are ended. Does nothing the second time.
        """
        self._close(drain)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Ingress(_Ingress):
    """Listens for HTTP requests and answers them by deployments; made by `Host.serve_http`.

    Requests reach a deployment without entering Python: through its route (and so the revision that
    is tried, if one is), its quota, its gate and its statistics.
    """

    __slots__ = ("_run",)

    def __init__(
        self,
        core: HostCore,
        run: Callable[..., Awaitable[Any]],
        listen: str,
        routes: Sequence[HttpRoute],
        limits: HttpLimits | None,
    ) -> None:
        super().__init__(core, listen, routes, limits)
        self._run = run

    async def close(self, drain: float = DRAIN) -> None:
        """Take no connection any more, and wait for the requests that are under way.

        On cancel the closing goes on.

        Args:
            drain: Seconds after which those are ended. Does nothing the second time.
        """
        await asyncio.shield(asyncio.ensure_future(self._run(self._close, drain)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class Ingresses:
    """The ingresses of one host; every method may be called by any thread."""

    def __init__(self) -> None:
        self._open: list[_Ingress] = []
        self._changing = threading.Lock()
        self._host_calls: _core.HostCalls | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def host_calls(self, actors: HostActors) -> _core.HostCalls:
        """Return what brings the host functions of components to the loop of the host."""
        with self._changing:
            if self._host_calls is None:
                calls = self._host_calls = _core.HostCalls()
                loop = self._loop = actors.running_loop()
                loop.call_soon_threadsafe(loop.add_reader, calls.fileno(), calls.drain)
            return self._host_calls

    def add(self, ingress: _Ingress) -> None:
        """Close it with the host."""
        with self._changing:
            self._open.append(ingress)

    def remove(self, ingress: _Ingress) -> None:
        """It is closed."""
        with self._changing, contextlib.suppress(ValueError):
            self._open.remove(ingress)

    def changed(self, serving: Serving) -> None:
        """Let requests for a deployment go to `serving`."""
        for ingress in list(self._open):
            ingress._changed(serving)  # noqa: SLF001 - of this module

    def close(self, drain: float) -> None:
        """Close all of them."""
        for ingress in list(self._open):
            ingress._close(drain)  # noqa: SLF001 - of this module
        calls, loop = self._host_calls, self._loop
        if calls is not None and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(loop.remove_reader, calls.fileno())


def host_function_failed(whose: str, error: BaseException) -> None:
    """Tell of an exception that ended a request, and that no caller in Python sees."""
    _log.error("%s failed in a request", whose, exc_info=error)


def _why(listen: str, error: OSError) -> str:
    host, separator, port = listen.rpartition(":")
    if not separator or not host or not port.isdigit():
        return "expected an address and a port, as 127.0.0.1:8080 or [::1]:8080"
    return error.strerror or str(error)


def _invalid(error: BaseException) -> InvalidSetting:
    return InvalidSetting(str(error), hint="see HttpRoute")
