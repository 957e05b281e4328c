"""What stands before every request: where it came from, who asks, and that its end comes."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from airssys.errors import AirsSysError
from airssys.server.protocol import peer_of
from airssys.wasm.remote.errors import InvalidRequest, NotAuthenticated, ServerFailed
from airssys.wasm.remote.problems import MEDIA_TYPE, problem_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from airssys.server.principals import Access, Principal

    Scope = dict[str, Any]
    Receive = Callable[[], Awaitable[Any]]
    Send = Callable[[Any], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ["Guard", "ToldError", "problem_response"]

_log: Final = logging.getLogger("airssys.server")
#: What anybody may ask who can connect: it says nothing but whether the server is well.
OPEN: Final = frozenset({"/healthz", "/readyz"})


class ToldError(Exception):
    """An exception of Python that is no defect here: whoever asked gave the reason for it.

    Attributes:
        error: What they are told.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Guard:
    """Lets requests through to an application.

    Args:
        application: What answers.
        access: Who is known.
        names: Host names and addresses by which it may be called on TCP, with port.
        refused: Told of each request that was refused, with the reason.
        patience: Seconds in which a client takes what is sent to it.
    """

    def __init__(
        self,
        application: Application,
        access: Access,
        names: Collection[str],
        refused: Callable[[str, str], None],
        patience: float,
    ) -> None:
        self._patience = patience
        self._application = application
        self._access = access
        self._names = {name.lower() for name in names}
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        peer = peer_of(scope)
        begun = False

        async def send_in_time(message: Any) -> None:
            nonlocal begun
            begun = True
            try:
                async with asyncio.timeout(self._patience):
                    await send(message)
            except TimeoutError:
                peer.abort()
                raise ConnectionResetError("the client does not read") from None

        try:
            headers = _headers(scope)
            self._check_origin(scope, headers, local=peer.user is not None)
            if scope["path"] not in OPEN:
                scope["state"]["principal"] = self._who(scope, headers)
            await self._application(scope, receive, send_in_time)
        except ConnectionError:
            return  # nobody is there to be told
        except Exception as error:  # noqa: BLE001 - the edge of the server: reported, and answered
            if not isinstance(error, (AirsSysError, ToldError)):
                _log.exception("a defect, in answer to %s %s", scope["method"], scope["path"])
            if begun:
                peer.abort()
            else:
                await problem_response(error, send_in_time)

    def _check_origin(self, scope: Scope, headers: dict[str, str], *, local: bool) -> None:
        """Refuse what a web page of somebody else sends here by the hand of a browser.

        Raises:
            InvalidRequest: It is such a request.
        """
        origin = headers.get("origin")
        host = headers.get("host", "").lower()
        if origin is not None and origin.lower() != f"{scope['scheme']}://{host}":
            self._refuse("origin", f"requests from {origin!r} are not answered")
        if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            self._refuse("origin", "requests of other sites are not answered")
        if not local and host not in self._names and not self._is_own_address(scope, host):
            self._refuse("host", f"this server is not called {host!r}; --name lets it be")

    def _is_own_address(self, scope: Scope, host: str) -> bool:
        """Whether a name is the very address that was connected to, which no name can stand for."""
        name, _, port = host.rpartition(":")
        server = scope.get("server") or ("", 0)
        try:
            address = ipaddress.ip_address(name.strip("[]"))
            return address == ipaddress.ip_address(server[0]) and port == str(server[1])
        except ValueError:
            return False

    def _who(self, scope: Scope, headers: dict[str, str]) -> Principal:
        """Return who asks.

        Raises:
            NotAuthenticated: Nobody who is known.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            found = self._access.of_token(token.strip())
            if found is not None:
                return found
            self._refused("token", "an unknown token")
            raise NotAuthenticated(
                "the token is not known here", hint="as in the token file of the server"
            )
        user = peer_of(scope).user
        found = None if user is None else self._access.of_user(user)
        if found is None:
            self._refused("user", "a request without a token" if user is None else f"user {user}")
            raise NotAuthenticated(
                "the server does not know who asks"
                if user is None
                else f"user {user} is not let in here",
                hint="send a token: `authorization: Bearer ...`",
            )
        return found

    def _refuse(self, what: str, why: str) -> None:
        self._refused(what, why)
        raise InvalidRequest(why, code="foreign-request")


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers by name.

    Raises:
        InvalidRequest: One that decides something is there twice.
    """
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1")
        if name in found and name in {"host", "origin", "authorization"}:
            raise InvalidRequest(f"the header {name!r} is there twice")
        found[name] = value.decode("latin-1")
    return found


async def problem_response(error: BaseException, send: Send) -> None:
    """Answer with what went wrong."""
    if isinstance(error, ToldError):
        problem = problem_of(error.error)
    elif isinstance(error, AirsSysError):
        problem = problem_of(error)
    else:
        problem = problem_of(
            ServerFailed(f"the server has a defect ({type(error).__name__}); its log says more")
        )
    headers = [(b"content-type", MEDIA_TYPE.encode())]
    if problem.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    body = msgspec.json.encode(problem)
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
