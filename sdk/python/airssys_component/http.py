"""HTTP: a function that answers requests is the handler of the component."""

from __future__ import annotations

import dataclasses
import json
import urllib.parse
from typing import TYPE_CHECKING, Any, TypeVar

from airssys_component.actors import provide
from airssys_component.bridge import bridge_logging
from airssys_component.errors import Refused
from airssys_component.messages import NotUnderstood, to_json
from airssys_component.world import types

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Request", "Response", "http"]

F = TypeVar("F", bound="Callable[[Request], object]")

#: What one read of a body asks for, and what one write to a stream of WASI takes.
_READ = 1 << 16
_WRITE = 4096


@dataclasses.dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        method: `GET`, `POST`, …
        path: Without what follows `?`, percent-decoded.
        query: What follows it, by name; the last one of each.
        headers: By name in lower case; several of a name are joined by commas.
        body: All of it.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def text(self) -> str:
        """Return the body as text.

        Raises:
            NotUnderstood: It is no UTF-8.
        """
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise NotUnderstood(f"the body is no UTF-8: {error}") from None

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            NotUnderstood: It is none.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise NotUnderstood(f"the body is no JSON: {error}") from None


@dataclasses.dataclass(frozen=True)
class Response:
    """An answer.

    Attributes:
        body: Bytes as they are, text as UTF-8, None for none; anything else as JSON.
        status: The status code.
        headers: Fields; the content type by default as the body is.
    """

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def content(self) -> tuple[bytes, str]:
        """Return the bytes of the body, and their content type; empty for no body."""
        match self.body:
            case None:
                return b"", ""
            case bytes():
                return self.body, "application/octet-stream"
            case str():
                return self.body.encode(), "text/plain; charset=utf-8"
        return json.dumps(to_json(self.body)).encode(), "application/json"


def http(function: F) -> F:
    """Let a function answer the requests to this component: `wasi:http/incoming-handler`.

    It takes a `Request` and returns a `Response`, or the body of one. `Refused` and
    `NotUnderstood` become an answer of status 400 with their words; any other exception ends the
    instance, and whoever asked gets 502.
    """

    class IncomingHandler:
        """What the world's `incoming-handler` calls."""

        def handle(self, request: Any, response_out: Any) -> None:
            try:
                given: object = function(_read(request))
            except (Refused, NotUnderstood) as error:
                given = Response(str(error), 400)
            _write(given if isinstance(given, Response) else Response(given), response_out)

    provide("IncomingHandler", IncomingHandler)
    bridge_logging()
    return function


def _read(request: Any) -> Request:
    path, _, query = (request.path_with_query() or "/").partition("?")
    headers: dict[str, str] = {}
    with request.headers() as fields:
        for name, value in fields.entries():
            text = value.decode("latin-1")
            name = name.lower()  # noqa: PLW2901 - names have no case
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
    method = request.method()
    return Request(
        getattr(method, "value", None) or type(method).__name__.rpartition("_")[2].upper(),
        urllib.parse.unquote(path),
        dict(urllib.parse.parse_qsl(query, keep_blank_values=True)),
        headers,
        _body(request),
    )


def _body(request: Any) -> bytes:
    from componentize_py_types import Err  # type: ignore[import-not-found]  # noqa: PLC0415 - there is one in components only

    content = bytearray()
    with request.consume() as body, body.stream() as stream:
        while True:
            try:
                content += stream.blocking_read(_READ)
            except Err as error:
                if type(error.value).__name__.endswith("_Closed"):
                    return bytes(content)
                raise


def _write(response: Response, out: Any) -> None:
    from componentize_py_types import Err, Ok  # noqa: PLC0415 - there is one in components only

    wasi = types("wasi_http")
    content, kind = response.content()
    headers = {name.lower(): value for name, value in response.headers.items()}
    if kind:
        headers.setdefault("content-type", kind)
    fields = wasi.Fields.from_list([(name, text.encode()) for name, text in headers.items()])
    head = wasi.OutgoingResponse(fields)
    head.set_status_code(response.status)
    body = head.body()
    wasi.ResponseOutparam.set(out, Ok(head))
    try:
        with body.write() as stream:
            for place in range(0, len(content), _WRITE):
                stream.blocking_write_and_flush(content[place : place + _WRITE])
        wasi.OutgoingBody.finish(body, None)
    except Err:
        return  # whoever asked has gone
