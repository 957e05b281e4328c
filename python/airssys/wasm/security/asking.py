"""From what a person writes to what is granted, and from grants to how requests stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from airssys.wasm.host_errors import InvalidSetting, nearest
from airssys.wasm.manifest.component_manifest import Capabilities
from airssys.wasm.manifest.requests import WrongRequestError, check_requests, shown
from airssys.wasm.security.grant import RequestState
from airssys.wasm.security.grants import Granting
from airssys.wasm.security.inputs import Asked, capabilities_from
from airssys.wasm.security.rules import requests_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airssys.wasm.manifest.requests import Requested
    from airssys.wasm.revision import Settings
    from airssys.wasm.security.grant import Grant

__all__ = ["granting_of", "is_covered", "missing_of", "request_states"]

_PREFIX = "capabilities."


def granting_of(what: Asked | str | Sequence[str], settings: Settings) -> list[Granting]:
    """Return what is to be granted.

    Args:
        what: Places of requests (`http[0]`, with or without `capabilities.` before it), or
            capabilities, which need not be what the component asks for.
        settings: Of the live revision, whose requests the places are.

    Raises:
        InvalidSetting: There is no request at a place, or a capability is none.
    """
    if isinstance(what, (Capabilities, Mapping)):
        capabilities = capabilities_from(what) or Capabilities()
        try:
            return [_granting(request, place="") for request in check_requests(capabilities)]
        except WrongRequestError as error:
            raise InvalidSetting(f"{shown(error.where)}: {error}") from None
    requests = {shown(request.where): request for request in requests_of(settings)}
    chosen = []
    for place in (what,) if isinstance(what, str) else what:
        full = place if place.startswith(_PREFIX) else f"{_PREFIX}{place}"
        if full not in requests:
            near = nearest(full, requests) or list(requests)
            raise InvalidSetting(
                f"the component has no request {place!r}",
                hint=f"it has {', '.join(near)}" if near else "it asks for nothing",
                place=place,
            )
        chosen.append(_granting(requests[full], place=full))
    return chosen


def _granting(request: Requested, place: str) -> Granting:
    return Granting(request.kind, request.access, request.target, request.more, place)


def request_states(settings: Settings, grants: Sequence[Grant]) -> tuple[RequestState, ...]:
    """Return what a revision asks for, each with what is granted of it.

    A request is `partly` granted where a grant of its kind gives some of its accesses, or gives
    them to other targets, for a time or for one caller.
    """
    states = []
    for request in requests_of(settings):
        concerned = tuple(
            grant
            for grant in grants
            if grant.kind == request.kind and _common(grant.access, request.access)
        )
        state: Literal["granted", "partly", "not"] = "partly" if concerned else "not"
        if is_covered(request, grants):
            state = "granted"
        states.append(
            RequestState(
                place=shown(request.where),
                kind=request.kind,
                access=request.access,
                target=request.target,
                more=request.more,
                reason=request.reason,
                state=state,
                grants=concerned,
            )
        )
    return tuple(states)


def is_covered(request: Requested, grants: Sequence[Grant]) -> bool:
    """Whether grants without an end give all that is asked for, in the words of the request."""
    given: set[str] = set()
    for grant in grants:
        if (
            grant.kind == request.kind
            and grant.target == request.target
            and _plain(grant.more) == _plain(request.more)
            and grant.until is None
            and grant.caller is None
        ):
            given.update(grant.access)
    return "*" in given or given.issuperset(request.access)


def missing_of(settings: Settings, grants: Sequence[Grant]) -> list[Granting]:
    """Return what a revision asks for and these grants do not give for good."""
    return [
        _granting(request, place=shown(request.where))
        for request in requests_of(settings)
        if not is_covered(request, grants)
    ]


def _common(one: Sequence[str], other: Sequence[str]) -> bool:
    return "*" in one or "*" in other or bool(set(one) & set(other))


def _plain(more: Mapping[str, Any]) -> dict[str, Any]:
    """Return what narrows a request as it comes back from the database."""
    return {key: list(value) for key, value in more.items()}
