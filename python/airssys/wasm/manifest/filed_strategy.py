"""The strategy that the operator's file gives a deployment."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airssys.wasm.delivery.errors import InvalidStrategy
from airssys.wasm.delivery.judging import Analysis
from airssys.wasm.delivery.strategies import KINDS, Bounds
from airssys.wasm.manifest.quantities import seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from airssys.wasm.delivery.strategies import Strategy
    from airssys.wasm.manifest import host_manifest

__all__ = ["filed_strategy"]

T = TypeVar("T")

#: Keys of an entry that are about its strategy alone.
_KEYS: Final = (
    "steps",
    "step_duration",
    "shares",
    "share",
    "then",
    "wait",
    "analysis",
    "bounds",
)
#: What the file writes as a span of time.
_SPANS: Final = frozenset({"step_duration", "wait", "max_wait", "slower_by", "p99"})


def filed_strategy(entry: host_manifest.DeploymentEntry) -> Strategy:
    """Return how new revisions of a deployment take over, by its entry in `airssys.toml`.

    Raises:
        InvalidStrategy: A key does not go with the strategy, or is out of range; `place` in its
            context says which, from the entry down.
    """
    of = KINDS[entry.strategy]
    given = {key: getattr(entry, key) for key in _KEYS if getattr(entry, key) is not None}
    for key in given:
        if key not in _names(of):
            kinds = " or ".join(repr(kind) for kind, other in KINDS.items() if key in _names(other))
            raise InvalidStrategy(
                f"`{key}` goes with strategy {kinds}, not {entry.strategy!r}",
                place=(key,),
            )
    if entry.analysis is not None:
        given["analysis"] = _made(Analysis, ("analysis",), _fields(entry.analysis))
    if entry.bounds is not None:
        given["bounds"] = _made(Bounds, ("bounds",), _fields(entry.bounds))
    made: Strategy = _made(of, (), given)
    return made


def _names(record: type[Any]) -> set[str]:
    return {each.name for each in dataclasses.fields(record)}


def _fields(record: host_manifest.Analysis | host_manifest.Bounds) -> dict[str, Any]:
    found = {key: getattr(record, key) for key in record.__struct_fields__}
    return {key: None if value == "any" else value for key, value in found.items()}


def _made(of: Callable[..., T], place: tuple[str, ...], fields: dict[str, Any]) -> T:
    fields = {
        key: seconds_of(value) if key in _SPANS and value is not None else value
        for key, value in fields.items()
    }
    try:
        return of(**fields)
    except InvalidStrategy as error:
        key = error.context["field"]
        raise InvalidStrategy(error.summary, hint=error.hint, place=(*place, key)) from None
