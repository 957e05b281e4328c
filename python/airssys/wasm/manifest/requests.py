"""What a manifest asks for, as rules of the one vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from airssys.errors import AirsSysError
from airssys.wasm._native import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airssys.osl.schema_file import Location
    from airssys.wasm.manifest.component_manifest import (
        Capabilities,
        ComponentManifest,
        HttpRequest,
        NetworkRequest,
        Request,
        StorageRequest,
    )

__all__ = [
    "Requested",
    "WrongRequestError",
    "check_requests",
    "requested",
    "requested_of",
    "rules_for",
    "shown",
]


T = TypeVar("T")

_CONNECTIONS = ("connect", "listen", "resolve")
_MESSAGES = ("send", "ask", "broadcast", "publish", "subscribe")
_PROCESSES = ("spawn", "signal", "wait")


class Requested(NamedTuple):
    """One request: the capability, and where the manifest has it."""

    where: Location
    kind: str
    access: tuple[str, ...]
    target: str
    more: Mapping[str, object]
    reason: str


class WrongRequestError(Exception):
    """A request cannot be one; `where` is its place in the manifest."""

    def __init__(self, where: Location, problem: str) -> None:
        super().__init__(problem)
        self.where = where


def requested(manifest: ComponentManifest) -> list[Requested]:
    """Return every request, checked as the gate will check it.

    Raises:
        WrongRequestError: A pattern or an access is none.
    """
    return check_requests(manifest.capabilities)


def requested_of(capabilities: Capabilities) -> list[Requested]:
    """Return every request of capabilities that were checked before."""
    return list(_all(capabilities))


def check_requests(capabilities: Capabilities) -> list[Requested]:
    """Return every request of these capabilities, checked as the gate will check it.

    Raises:
        WrongRequestError: A pattern or an access is none.
    """
    found = list(_all(capabilities))
    for request in found:
        rule = _rule(request, "request", ("*",))
        try:
            Gate.check(msgspec.json.encode({"schema": 1, "rules": [rule]}))
        except AirsSysError as error:
            problem = error.message.removeprefix("rule `request`: ")
            raise WrongRequestError(request.where, problem) from None
    return found


def rules_for(manifest: ComponentManifest, principal: str) -> bytes:
    """Return the requests as rules that would allow all of them to `principal`, for the gate.

    Raises:
        WrongRequestError: As `requested` says.
    """
    rules = [
        _rule(request, shown(request.where), (f"name:{principal}",))
        for request in requested(manifest)
    ]
    return msgspec.json.encode({"schema": 1, "rules": rules})


def shown(where: Location) -> str:
    """Return a place as a person writes it: `capabilities.http[0]`."""
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
    return steps.removeprefix(".")


def _rule(request: Requested, name: str, principals: tuple[str, ...]) -> dict[str, object]:
    return {
        "id": name,
        "effect": "allow",
        "principals": principals,
        "kind": request.kind,
        "targets": [request.target],
        "access": request.access,
        **request.more,
    }


def _all(asked: Capabilities) -> Iterator[Requested]:
    for place, file in _placed("filesystem", asked.filesystem):
        yield Requested(place, "filesystem", file.access, file.path, {}, file.reason)
    for place, network in _placed("network", asked.network):
        yield _network(place, network)
    for place, http in _placed("http", asked.http):
        yield _http(place, http)
    for place, store in _placed("storage", asked.storage):
        yield Requested(place, "storage", store.access, _stored(place, store), {}, store.reason)
    for place, message in _placed("messaging", asked.messaging):
        yield _chosen(place, "messaging", message, _MESSAGES, {})
    for place, process in _placed("process", asked.process):
        more = {} if process.arguments is None else {"arguments": process.arguments}
        yield _chosen(place, "process", process, _PROCESSES, more)
    for place, name in _placed("environment", asked.environment):
        yield Requested(place, "environment", ("read",), name, {}, "")
    for place, secret in _placed("secrets", asked.secrets):
        site = f"{secret.scheme}://{_bracketed(secret.host)}:{secret.port}/{secret.header}"
        target = f"{secret.name}@{site}"
        yield Requested(place, "secret", ("use",), target, {}, secret.reason)
    for place, custom in _placed("custom", asked.custom):
        yield Requested(place, "custom", ("use",), custom.name, {}, custom.reason)


def _stored(place: Location, store: StorageRequest) -> str:
    """Return the target of a request for stored keys.

    The keys of another deployment come after `@`, which no name has.
    """
    match store.namespace, store.share_with:
        case "self", None:
            return "self/**"
        case str(namespace), None:
            return f"{namespace}/@/**"
        case None, str(others):
            return f"@share/{others}"
        case _:
            found = "none" if store.namespace is None else "`namespace` and `share_with`"
            raise WrongRequestError(
                place, f"expected exactly one of namespace, share_with, found {found}"
            )


def _placed(name: str, requests: tuple[T, ...]) -> Iterator[tuple[Location, T]]:
    for number, request in enumerate(requests):
        yield ("capabilities", name, number), request


def _network(place: Location, request: NetworkRequest) -> Requested:
    more: dict[str, object] = {}
    if request.transport:
        more["transport"] = request.transport
    if request.addresses:
        more["addresses"] = request.addresses
    return _chosen(place, "network", request, _CONNECTIONS, more)


def _http(place: Location, request: HttpRequest) -> Requested:
    port = "" if request.port is None else f":{request.port}"
    target = f"{request.scheme}://{_bracketed(request.host)}{port}{request.path}"
    more: dict[str, object] = {"addresses": request.addresses} if request.addresses else {}
    return Requested(place, "http", request.methods, target, more, request.reason)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _chosen(
    place: Location,
    kind: str,
    request: Request,
    names: tuple[str, ...],
    more: Mapping[str, object],
) -> Requested:
    """Return the request that has exactly one of `names`, the access, and under it the target."""
    given = [name for name in names if getattr(request, name) is not None]
    if len(given) != 1:
        several = " and ".join(f"`{name}`" for name in given) or "none"
        raise WrongRequestError(
            place, f"expected exactly one of {', '.join(names)}, found {several}"
        )
    target = getattr(request, given[0])
    return Requested(place, kind, (given[0],), target, more, request.reason)
