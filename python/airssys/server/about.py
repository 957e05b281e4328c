"""Operations on the host itself: what it is, how it is, what it counts."""

from __future__ import annotations

from starlette.responses import PlainTextResponse, Response

from airssys.server.metrics import MEDIA_TYPE, metrics_of
from airssys.server.operation import Asked, Operation
from airssys.wasm import build_info
from airssys.wasm.quotas.usage import Usage
from airssys.wasm.remote.wire import HostState, HttpState

__all__ = ["OPERATIONS"]


async def _host(asked: Asked) -> HostState:
    service = asked.service
    return HostState(
        version=str(build_info()["version"]),
        directory=str(service.host.directory),
        process=service.process,
        started=service.started,
        status="draining" if service.ending.is_set() else "ready",
        principal=asked.principal.name,
        roles=tuple(sorted(asked.principal.roles)),
        usage=await service.in_thread(service.host.usage),
    )


async def _usage(asked: Asked) -> Usage:
    namespace = asked.text("namespace") or None
    return await asked.service.in_thread(asked.service.host.usage, namespace)


async def _http(asked: Asked) -> list[HttpState]:
    front = asked.service.front
    if front is None:
        return []
    return [
        HttpState(
            address=each.address,
            routes=each.routes,
            statistics=each.statistics(),
            missing=front.missing,
        )
        for each in front.ingresses
    ]


async def _metrics(asked: Asked) -> Response:
    return Response(metrics_of(asked.service), media_type=MEDIA_TYPE)


async def _healthy(_asked: Asked) -> Response:
    return PlainTextResponse("ok\n")


async def _ready(asked: Asked) -> Response:
    if asked.service.ending.is_set():
        return PlainTextResponse("draining\n", 503)
    return PlainTextResponse("ready\n")


OPERATIONS = (
    Operation(
        "GET",
        "/v1/host",
        "read",
        "Show what is served, and who asks.",
        _host,
        gives=HostState,
    ),
    Operation(
        "GET",
        "/v1/usage",
        "read",
        "Show what was used since the start, by all or by a namespace.",
        _usage,
        gives=Usage,
        query={"namespace": "The first segment of names; all where it is left out."},
    ),
    Operation(
        "GET",
        "/v1/http",
        "read",
        "List where requests from outside come in, by which rules, and what came of them.",
        _http,
        gives=list[HttpState],
    ),
    Operation("GET", "/metrics", "read", "What is counted, for Prometheus.", _metrics, gives=str),
    Operation("GET", "/healthz", None, "Whether the server lives.", _healthy, gives=str),
    Operation(
        "GET", "/readyz", None, "Whether it takes calls; 503 while it ends.", _ready, gives=str
    ),
)
