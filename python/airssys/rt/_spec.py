"""Supervision trees from plain data, as it stands in TOML or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from airssys.rt._mailbox import Bounded
from airssys.rt._options import Backoff, Restart
from airssys.rt.errors import InvalidSpec
from airssys.rt.supervision import Child, Strategy, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airssys.rt.actor import Actor

__all__ = ["supervisor_from_dict"]

SUPERVISOR_KEYS = frozenset(
    {
        "name", "strategy", "burst", "period", "children", "auto_shutdown", "restart",
        "shutdown", "backoff", "significant",
    }
)  # fmt: skip
CHILD_KEYS = frozenset(
    {
        "name", "actor", "args", "restart", "mailbox", "backoff", "shutdown", "start_timeout",
        "significant", "max_consecutive", "healthy_after", "stash", "budget",
    }
)  # fmt: skip


def supervisor_from_dict(
    spec: Mapping[str, Any], actors: Mapping[str, Callable[..., Actor]]
) -> Supervisor:
    """Build a tree; see `Supervisor.from_dict`."""
    return _supervisor(spec, actors, "supervisor")


def _supervisor(
    spec: Mapping[str, Any], actors: Mapping[str, Callable[..., Actor]], where: str
) -> Supervisor:
    name = _name(spec, where)
    where = f"{where} {name!r}"
    _check_keys(spec, SUPERVISOR_KEYS, where)
    options = {key: spec[key] for key in ("burst", "period", "auto_shutdown") if key in spec}
    options |= {key: spec[key] for key in ("shutdown", "significant") if key in spec}
    children: list[Child | Supervisor] = []
    for number, child in enumerate(spec.get("children", ())):
        place = f"{where}, child {number + 1}"
        if "children" in child or "strategy" in child:
            children.append(_supervisor(child, actors, place))
        else:
            children.append(_child(child, actors, place))
    return Supervisor(
        name,
        _choice(Strategy, spec.get("strategy", "one-for-one"), f"{where}: strategy"),
        children=children,
        restart=_choice(Restart, spec.get("restart", "permanent"), f"{where}: restart"),
        backoff=_backoff(spec, where),
        **options,
    )


def _child(
    spec: Mapping[str, Any], actors: Mapping[str, Callable[..., Actor]], where: str
) -> Child:
    name = _name(spec, where)
    where = f"{where} {name!r}"
    _check_keys(spec, CHILD_KEYS, where)
    kind = spec.get("actor")
    if kind not in actors:
        raise InvalidSpec(
            f"{where}: actor {kind!r} is unknown; expected one of {', '.join(sorted(actors))}",
            where=where,
        )
    options = {
        key: spec[key]
        for key in (
            "shutdown", "start_timeout", "significant", "max_consecutive", "healthy_after",
            "stash", "budget",
        )
        if key in spec
    }  # fmt: skip
    mailbox = spec.get("mailbox")
    if mailbox is not None:
        _check_keys(mailbox, frozenset({"capacity", "full", "waiting"}), f"{where}: mailbox")
        mailbox = Bounded(**{key: mailbox[key] for key in mailbox})
    return Child(
        name,
        actors[cast("str", kind)],
        *spec.get("args", ()),
        restart=_choice(Restart, spec.get("restart", "permanent"), f"{where}: restart"),
        mailbox=mailbox,
        backoff=_backoff(spec, where),
        **options,
    )


def _name(spec: Mapping[str, Any], where: str) -> str:
    name = spec.get("name")
    if not isinstance(name, str):
        raise InvalidSpec(f"{where}: expected a `name`, got {name!r}", where=where)
    return name


def _check_keys(spec: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for key in spec:
        if key not in known:
            raise InvalidSpec(
                f"{where}: unknown key {key!r}; expected {', '.join(sorted(known))}", where=where
            )


def _choice(kind: Any, value: Any, where: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise InvalidSpec(f"{where} {value!r} is unknown; expected {known}", where=where) from None


def _backoff(spec: Mapping[str, Any], where: str) -> Backoff | None:
    backoff = spec.get("backoff")
    if backoff is None:
        return None
    _check_keys(backoff, frozenset({"minimum", "maximum"}), f"{where}: backoff")
    return Backoff(**{key: float(backoff[key]) for key in backoff})
