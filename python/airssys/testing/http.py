"""Requests to a component under test, over HTTP."""

from __future__ import annotations

import dataclasses
import http.client
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airssys.wasm import BlockingHost

__all__ = ["HttpAnswer", "requested"]

#: Seconds; an answer takes as long as the component's `call_timeout` allows.
_PATIENCE = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back.

    Attributes:
        status: The status code.
        headers: By name in lower case.
        body: All of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        """The body as JSON where it says that it is some, else as text."""
        kind = self.headers.get("content-type", "").partition(";")[0]
        if kind == "application/json" or kind.endswith("+json"):
            return json.loads(self.body)
        return self.body.decode()


def requested(
    host: BlockingHost, deployment: str, method: str, target: str, body: object
) -> HttpAnswer:
    """Ask a deployment through an ingress that is there for this one request.

    Args:
        host: The host.
        deployment: The name of the deployment.
        method: `GET`, `POST`, …
        target: The path, and what follows `?`.
        body: Bytes and text as they are, None for none; anything else as JSON.
    """
    from airssys.wasm import HttpRoute  # noqa: PLC0415 - costs who uses it

    headers = {}
    if body is not None and not isinstance(body, (bytes, str)):
        body, headers = json.dumps(body), {"Content-Type": "application/json"}
    content = body.encode() if isinstance(body, str) else body
    with host.serve_http("127.0.0.1:0", routes=[HttpRoute(deployment)]) as ingress:
        connection = http.client.HTTPConnection(ingress.address, timeout=_PATIENCE)
        try:
            connection.request(method, target, content, headers)
            answer = connection.getresponse()
            given = {name.lower(): value for name, value in answer.getheaders()}
            return HttpAnswer(answer.status, given, answer.read())
        finally:
            connection.close()
