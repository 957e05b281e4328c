"""What callers give a host, as it works with it."""

from __future__ import annotations

import dataclasses
import getpass
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from airssys.wasm.actors.settings import ActorSettings
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.limits import SIZES, Limits, parse_bytes
from airssys.wasm.quotas import Ceilings
from airssys.wasm.revision import Settings
from airssys.wasm.security.inputs import capabilities_from
from airssys.wasm.security.mounts import mounts_from
from airssys.wasm.wasi import Directory

if TYPE_CHECKING:
    import datetime as dt

    from airssys.wasm.revision import Enforcement, Lifetime
    from airssys.wasm.security.inputs import Asked

__all__ = [
    "Mounts",
    "Source",
    "moment_of",
    "read_source",
    "settings_changed",
    "settings_from",
    "user",
    "wanted",
]

Source = str | os.PathLike[str] | bytes | bytearray | memoryview
#: Directories by their path in the component: a path (read only) or a `Directory`.
Mounts = Mapping[str, str | os.PathLike[str] | Directory]


def settings_from(
    *,
    lifetime: str = "call",
    limits: Limits | None = None,
    instances: int = 8,
    drain: float = 30.0,
    keep: int = 5,
    actor: ActorSettings | None = None,
    ceilings: Ceilings | None = None,
    capabilities: Asked | None = None,
    mounts: Mounts | None = None,
    environment: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    enforcement: Enforcement = "enforce",
    observe_until: dt.datetime | None = None,
) -> Settings:
    """Return effective settings.

    Raises:
        InvalidSetting: A value is out of range.
    """
    limits = limits or Limits()
    effective = {
        field.name: getattr(limits, field.name)
        for field in dataclasses.fields(limits)
        if field.init
    }
    for name in SIZES:
        effective[name] = parse_bytes(effective[name], name=name)
    return Settings(
        lifetime=cast("Lifetime", lifetime),
        limits=effective,
        instances=instances,
        drain=drain,
        keep=keep,
        actor=actor or ActorSettings() if lifetime == "actor" else actor,
        ceilings=ceilings or Ceilings(),
        capabilities=capabilities_from(capabilities),
        mounts=mounts_from(mounts or {}),
        environment=dict(environment or {}),
        config=dict(config or {}),
        enforcement=enforcement,
        observe_until=moment_of(observe_until),
    )


def settings_changed(settings: Settings, **changes: Any) -> Settings:
    """Return effective settings with others in their place, but for those that are None.

    Raises:
        InvalidSetting: A value is out of range.
    """
    changes = {name: value for name, value in changes.items() if value is not None}
    if limits := changes.pop("limits", None):
        changes["limits"] = settings_from(limits=limits).limits
    if "capabilities" in changes:
        changes["capabilities"] = capabilities_from(changes["capabilities"])
    if "mounts" in changes:
        changes["mounts"] = mounts_from(changes["mounts"])
    if "observe_until" in changes:
        changes["observe_until"] = moment_of(changes["observe_until"])
    elif changes.get("enforcement", "observe") != "observe":
        changes["observe_until"] = None
    lifetime = changes.get("lifetime", settings.lifetime)
    if lifetime == "actor" and settings.actor is None:
        changes.setdefault("actor", ActorSettings())
    elif lifetime != "actor":
        changes.setdefault("actor", None)
    return dataclasses.replace(settings, **changes)


def wanted(grant: str | None) -> bool:
    """Return whether what is requested is to be granted.

    Raises:
        InvalidSetting: `grant` is neither `requested` nor None.
    """
    if grant not in (None, "requested"):
        raise InvalidSetting(
            f"grant {grant!r} is not known",
            hint="'requested' grants what the component asks for; or deployment.grant(...) later",
        )
    return grant is not None


def moment_of(at: dt.datetime | None) -> float | None:
    """Return a moment in seconds since 1970.

    Raises:
        InvalidSetting: It has no time zone.
    """
    if at is None:
        return None
    if at.tzinfo is None:
        raise InvalidSetting(
            f"{at.isoformat()} has no time zone", hint="as datetime.now(timezone.utc)"
        )
    return at.timestamp()


def read_source(source: Source) -> bytes:
    """Return the bytes of a component.

    Raises:
        OSError: The file cannot be read.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, (bytearray, memoryview)):
        return bytes(source)
    return Path(source).read_bytes()


def user() -> str:
    """Return who runs this process, for the records."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
