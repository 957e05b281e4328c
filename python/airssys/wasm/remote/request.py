"""What a client asks a server for, whichever way it is sent."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import msgspec

from airssys.wasm.remote import values
from airssys.wasm.remote.errors import ServerFailed
from airssys.wasm.remote.problems import MEDIA_TYPE as PROBLEM
from airssys.wasm.remote.problems import Problem, error_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["JSON", "Request", "Response", "path_of", "result_of"]

JSON: Final = "application/json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request.

    Attributes:
        method: The HTTP method.
        path: The path with its query.
        gives: What the JSON of the answer is read as; None for no content, `bytes` for packed
            values.
        body: The content.
        media: The media type of the content.
        headers: Further headers.
    """

    method: str
    path: str
    gives: Any = None
    body: bytes | memoryview = b""
    media: str = JSON
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def head(self, authority: str, token: str | None) -> bytes:
        """Return the lines before the content.

        Args:
            authority: Of the server.
            token: What proves who asks.
        """
        lines = [f"{self.method} {self.path} HTTP/1.1", f"host: {authority}"]
        if self.body or self.method in {"POST", "PUT"}:
            lines += [f"content-type: {self.media}", f"content-length: {len(self.body)}"]
        if token is not None:
            lines.append(f"authorization: Bearer {token}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclasses.dataclass(frozen=True, slots=True)
class Response:
    """What a server answered.

    Attributes:
        status: The status code.
        media: The media type of the content.
        body: The content.
    """

    status: int
    media: str
    body: bytes


def path_of(*segments: str, verb: str = "", **query: object) -> str:
    """Return a path below `/v1`: segments, a verb after a colon, and a query without what is None.

    The slashes of a deployment's name stand as they are.
    """
    path = "/".join(("/v1", *(quote(segment, safe="/") for segment in segments)))
    given = {name: value for name, value in query.items() if value is not None}
    return path + (f":{verb}" if verb else "") + (f"?{urlencode(given)}" if given else "")


def result_of(request: Request, response: Response) -> Any:
    """Return what an answer holds.

    Raises:
        AirsSysError: What the server tells of, or `ServerFailed` where it makes no sense.
    """
    media = response.media.partition(";")[0].strip().lower()
    try:
        if media == PROBLEM:
            error = error_of(msgspec.json.decode(response.body, type=Problem))
        elif 200 <= response.status < 300:
            return _content(request, media, response.body)
        else:
            error = ServerFailed(f"the server answered {request.path} with {response.status}")
    except msgspec.MsgspecError as malformed:
        raise ServerFailed(f"the answer to {request.path} cannot be read: {malformed}") from None
    raise error


def _content(request: Request, media: str, body: bytes) -> Any:
    if request.gives is None:
        return None
    if request.gives is bytes:
        if media != values.MEDIA_TYPE:
            raise ServerFailed(f"the answer to {request.path} is {media!r}, not packed values")
        return body
    return msgspec.json.decode(body, type=request.gives)
