"""What can go wrong between a program and the server that it is connected to."""

from __future__ import annotations

from airssys.wasm.host_errors import HostError

__all__ = [
    "DigestMismatch",
    "InvalidAddress",
    "InvalidRequest",
    "NotAuthenticated",
    "RequestTooLarge",
    "RoleNeeded",
    "ServerBusy",
    "ServerFailed",
    "ServerUnreachable",
    "UnknownComponent",
]


class InvalidAddress(HostError, ValueError):
    """Text is not the address of a server."""

    default_code = "invalid-address"


class ServerUnreachable(HostError, ConnectionError):
    """There is no server at the address, or it went away before it answered.

    Whether it did what it was asked for is not known then.
    """

    default_code = "server-unreachable"


class ServerFailed(HostError):
    """The server answered with something that it should never answer with."""

    default_code = "server-failed"


class ServerBusy(HostError):
    """The server has as much to do at once as it takes on; try again."""

    default_code = "server-busy"


class InvalidRequest(HostError, ValueError):
    """The server cannot read a request."""

    default_code = "invalid-request"


class NotAuthenticated(HostError, PermissionError):
    """The server does not know who asks."""

    default_code = "not-authenticated"


class RoleNeeded(HostError, PermissionError):
    """Who asks has not the role that the operation needs."""

    default_code = "role-needed"


class RequestTooLarge(HostError, ValueError):
    """The body of a request has more bytes than the server takes."""

    default_code = "request-too-large"


class DigestMismatch(HostError, ValueError):
    """The bytes that arrived are not those that were announced."""

    default_code = "digest-mismatch"


class UnknownComponent(HostError, LookupError):
    """No component of this digest was uploaded, or not lately."""

    default_code = "unknown-component"
