"""The control API: its operations as routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.routing import Route, Router

from airssys.server import (
    about,
    actors,
    audit,
    deployments,
    events,
    logs,
    rights,
    rollouts,
    storage,
    switches,
    trust,
)
from airssys.server.guard import Guard
from airssys.server.openapi import describing
from airssys.wasm.remote.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from airssys.server.operation import Operation
    from airssys.server.principals import Access
    from airssys.server.service import Service

__all__ = ["OPERATIONS", "application"]

OPERATIONS = (
    *about.OPERATIONS,
    *deployments.OPERATIONS,
    *rollouts.OPERATIONS,
    *actors.OPERATIONS,
    *rights.OPERATIONS,
    *storage.OPERATIONS,
    *switches.OPERATIONS,
    *events.OPERATIONS,
    *logs.OPERATIONS,
    *trust.OPERATIONS,
    *audit.OPERATIONS,
)


def application(service: Service, access: Access, names: Collection[str]) -> Guard:
    """Return what answers requests for a host.

    Args:
        service: The host.
        access: Who is known.
        names: Host names by which it may be called on TCP, with port.
    """
    described = describing(OPERATIONS)
    routes = [_route(service, operation) for operation in (*OPERATIONS, described)]
    # A name matches everything, verbs included, so that those with verbs come first.
    routes.sort(key=lambda route: -len(route.path))
    router = Router(routes, redirect_slashes=False)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await router(scope, receive, send)
        except HTTPException as error:
            raise _unknown(scope, error) from None

    return Guard(answer, access, names, service.record_refused, service.patience)


def _route(service: Service, operation: Operation) -> Route:
    async def endpoint(request: Request) -> Response:
        return await operation.answer(service, request)

    path = operation.path.replace("{name}", "{name:path}")
    return Route(path, endpoint, methods=[operation.method])


def _unknown(scope: Scope, error: HTTPException) -> InvalidRequest:
    what = f"{scope['method']} {scope['path']}"
    if error.status_code == 405:
        return InvalidRequest(f"{what} is no operation", code="unknown-operation")
    return InvalidRequest(
        f"there is no operation {what}",
        hint="/v1/openapi.json lists them",
        code="unknown-operation",
    )
