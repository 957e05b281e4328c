"""Which HTTP requests go where, and what came in; what a client of a server knows of them too."""

from __future__ import annotations

import dataclasses
from typing import Literal

from airssys.wasm.host_errors import InvalidSetting

__all__ = ["HttpRoute", "HttpStatistics"]


@dataclasses.dataclass(frozen=True, slots=True)
class HttpRoute:
    """Which requests go to a deployment, and how it answers them.

    An exact path wins over prefixes, a longer prefix over a shorter one; a rule for the host wins
    over one for `*.` hosts, and that over one for every host.

    Attributes:
        deployment: Its name.
        path: The path that requests have: it, and all below it; it alone where `exact` is true.
            Components see the whole path.
        exact: Whether the path is taken as it is.
        host: The host that requests are for: `example.com`; `*.example.com` for all below it; None
            for every host.
        handling: `http`: the component answers itself (`wasi:http/incoming-handler` of WASI 0.2, or
            `wasi:http/handler` of 0.3). `functions`: `POST {path}/{function}` calls a function with
            the JSON of the body: an array of arguments, or an object by their names. `function`:
            `POST {path}` calls the one.
        function: The function of `function`.
        key_header: The header whose value keeps a client on one revision while two are tried.
        key_cookie: The same, for a cookie.

    Raises:
        InvalidSetting: Something does not go together.
    """

    deployment: str
    path: str = "/"
    exact: bool = False
    host: str | None = None
    handling: Literal["http", "functions", "function"] = "http"
    function: str | None = None
    key_header: str | None = None
    key_cookie: str | None = None

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.handling not in ("http", "functions", "function"):
            raise InvalidSetting(
                f"handling {self.handling!r} is not known", hint="http, functions or function"
            )
        if (self.handling == "function") != (self.function is not None):
            raise InvalidSetting(
                f"the route of '{self.deployment}' handles '{self.handling}' "
                f"with the function {self.function!r}",
                hint="handling='function' goes with the name of a function, and nothing else does",
            )
        if self.key_header is not None and self.key_cookie is not None:
            raise InvalidSetting(
                f"the route of '{self.deployment}' has two keys",
                hint="give key_header or key_cookie",
            )

    def key_source(self) -> tuple[str, str] | None:
        """Return where the key of a request is, `header` or `cookie`, and its name."""
        if self.key_header is not None:
            return ("header", self.key_header)
        return None if self.key_cookie is None else ("cookie", self.key_cookie)


@dataclasses.dataclass(frozen=True, slots=True)
class HttpStatistics:
    """What came in through an ingress since it began to listen.

    Attributes:
        connections: Open now.
        connections_accepted: That came.
        connections_refused: Closed at once, because there were too many.
        connections_failed: Ended by an error: garbage, a head that is too large or too late, a
            client that stalled or went away in the middle.
        active: Requests that are answered now.
        requests: Requests whose head arrived.
        informational: Answers of status 1xx.
        successful: Answers of status 2xx.
        redirected: Answers of status 3xx.
        client_errors: Answers of status 4xx.
        server_errors: Answers of status 5xx.
        overloaded: Requests refused because too many were answered and too many waited.
        unmatched: Requests that no rule is for.
        abandoned: Answers that clients did not take to the end.
        stalled: Calls that ran out of time while the component waited for the client.
        cut_off: Answers that ended early because the component failed.
    """

    connections: int
    connections_accepted: int
    connections_refused: int
    connections_failed: int
    active: int
    requests: int
    informational: int
    successful: int
    redirected: int
    client_errors: int
    server_errors: int
    overloaded: int
    unmatched: int
    abandoned: int
    stalled: int
    cut_off: int
