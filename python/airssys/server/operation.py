"""One operation of the control API: what it takes and gives, who may ask for it, what it does."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from airssys.wasm.host_errors import HostClosed
from airssys.wasm.remote import values
from airssys.wasm.remote.errors import InvalidRequest, RequestTooLarge, ServerBusy
from airssys.wasm.remote.request import JSON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping

    from starlette.requests import Request

    from airssys.server.principals import Principal, Role
    from airssys.server.service import Service

__all__ = ["Asked", "Operation", "packed"]

T = TypeVar("T")

#: Bytes of the largest JSON that is read.
MOST_JSON: Final = 1 << 20
#: Bytes of the largest arguments or message.
MOST_VALUES: Final = 64 << 20
#: Bytes of all bodies that are held at once.
MOST_HELD: Final = 256 << 20
#: Bytes of a body for which a client has another second.
BODY_PACE: Final = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """An operation, from which its route and its documentation are made.

    Attributes:
        method: The HTTP method.
        path: The path; `{name}` is a deployment, whose slashes stand as they are.
        role: What who asks must be; None for anybody.
        summary: What it does, in one line.
        run: Does it.
        takes: What the JSON of the request is read as; None where there is none.
        gives: What the answer is; None for no content.
        media: The media type of what it takes, where that is not JSON.
        query: What the query may have: a text for each name.
        status: The status code of success.
        records: What the audit log calls it; empty for what only looks.
    """

    method: str
    path: str
    role: Role | None
    summary: str
    run: Callable[[Asked], Awaitable[Any]]
    takes: Any = None
    gives: Any = None
    media: str = JSON
    query: Mapping[str, str] = dataclasses.field(default_factory=dict)
    status: int = 200
    records: str = ""

    async def answer(self, service: Service, request: Request) -> Response:
        """Do what a request asks for."""
        asked = Asked(service, request, self)
        unknown = request.query_params.keys() - self.query.keys()
        if unknown:
            raise InvalidRequest(
                f"{self.method} {self.path} knows no {min(unknown)!r} in the query",
                hint=f"it knows {', '.join(self.query) or 'nothing'}",
            )
        target = asked.target
        if self.role is not None:
            if service.ending.is_set():
                raise HostClosed("the server is ending", hint="try again when it is back")
            operation = self.records or "look"
            service.check_role(asked.principal, self.role, operation, target)
        try:
            result = await self.run(asked)
        except Exception as error:
            if self.records:
                reason = getattr(error, "code", type(error).__name__)
                service.record(asked.principal, self.records, target, "failed", rule=reason)
            raise
        if self.records:
            detail = asked.detail or None
            service.record(asked.principal, self.records, target, "done", detail=detail)
        if isinstance(result, Response):
            return result
        if self.gives is None:
            return Response(status_code=204)
        return Response(msgspec.json.encode(result), self.status, media_type=JSON)


class Asked:
    """One request, as an operation reads it.

    Attributes:
        service: The host that is served.
        detail: What the audit log says of it beside its target.
    """

    _held = 0

    def __init__(self, service: Service, request: Request, operation: Operation) -> None:
        self.service = service
        self.detail = ""
        self._request = request
        self._operation = operation

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return cast("Principal", self._request.state.principal)

    @property
    def name(self) -> str:
        """The deployment in the path."""
        return str(self._request.path_params["name"])

    @property
    def target(self) -> str:
        """What it is about, for the audit log."""
        return str(next(iter(self._request.path_params.values()), "host"))

    def text(self, name: str, default: str = "") -> str:
        """Return what the query has of a name."""
        return str(self._request.query_params.get(name, default))

    def number(self, name: str, default: float | None = None) -> float | None:
        """Return a number of the query.

        Raises:
            InvalidRequest: It is none.
        """
        given = self._request.query_params.get(name)
        if given is None:
            return default
        try:
            return float(given)
        except ValueError:
            raise InvalidRequest(f"{name}={given!r}: expected a number") from None

    def header(self, name: str) -> str | None:
        """Return a header."""
        found: str | None = self._request.headers.get(name)
        return found

    @property
    def media(self) -> str:
        """The media type of the body."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @property
    def length(self) -> int | None:
        """The announced bytes of the body."""
        given = self.header("content-length")
        return int(given) if given is not None and given.isdigit() else None

    def who(self, given: str | None) -> str:
        """Return who did it, for the history: who asks, and for whom where that was said."""
        name = self.principal.name
        return name if given in (None, name) else f"{given} (by {name})"

    async def json(self, kind: type[T], most: int = MOST_JSON) -> T:
        """Read the body as JSON; an empty one is a record of defaults.

        Raises:
            InvalidRequest: It is something else.
        """
        body = await self.body(most) or b"{}"
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise InvalidRequest(f"the body is not as expected: {error}") from None

    async def body(self, most: int = MOST_VALUES) -> bytes:
        """Read the body.

        Raises:
            RequestTooLarge: It has more than `most` bytes.
            ServerBusy: Too many bytes of others are held.
        """
        if (self.length or 0) > most:
            raise _too_large(most)
        pieces, size = [], 0
        try:
            async for chunk in self.stream():
                size += len(chunk)
                Asked._held += len(chunk)
                if size > most:
                    raise _too_large(most)
                if Asked._held > MOST_HELD:
                    raise ServerBusy("too many large requests at once", hint="try again")
                pieces.append(chunk)
            return b"".join(pieces)
        finally:
            Asked._held -= size

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes.

        Raises:
            InvalidRequest: It does not come.
        """
        seconds = self.service.patience + (self.length or 0) / BODY_PACE
        try:
            async with asyncio.timeout(seconds):
                async for chunk in self._request.stream():
                    if chunk:
                        yield chunk
        except TimeoutError:
            raise InvalidRequest(f"the body did not come within {seconds:.0f} seconds") from None
        except ClientDisconnect:
            raise ConnectionResetError("the client went away") from None

    async def while_wanted(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work, and cancel it when the client goes away.

        Raises:
            ConnectionResetError: It went away.
        """
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self._request.receive())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
        finally:
            leaving.cancel()
            if not working.done():
                working.cancel()
                await asyncio.wait({working})
        if not working.cancelled():
            working.exception()  # nobody is there to be told
        raise ConnectionResetError("the client went away")


def packed(value: object) -> Response:
    """Return an answer of packed values."""
    return Response(values.pack(value), media_type=values.MEDIA_TYPE)


def _too_large(most: int) -> RequestTooLarge:
    return RequestTooLarge(f"the body has more than {most} bytes", most=most)
