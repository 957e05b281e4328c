"""How a revision is run.

As the operator says where it is deployed, else in the file of the host, else as the component's own
manifest says, else as the defaults do.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from airssys.wasm.actors.hand_over import StateRules
from airssys.wasm.actors.settings import ActorSettings
from airssys.wasm.contracts.offers import needed
from airssys.wasm.host_errors import InvalidSetting
from airssys.wasm.limits import SIZES, Limits, parse_bytes
from airssys.wasm.manifest.effective import effective_config, effective_limits
from airssys.wasm.manifest.quantities import bytes_of, seconds_of
from airssys.wasm.quotas.ceilings import Ceilings
from airssys.wasm.revision import Settings
from airssys.wasm.security.inputs import capabilities_from
from airssys.wasm.security.mounts import mounts_from
from airssys.wasm.wasi import Directory

if TYPE_CHECKING:
    import os

    from airssys.wasm.delivery.replay import Replay
    from airssys.wasm.manifest.component_manifest import Capabilities, ComponentManifest
    from airssys.wasm.manifest.configuration import Configuration
    from airssys.wasm.manifest.host_manifest import DeploymentEntry
    from airssys.wasm.revision import Enforcement
    from airssys.wasm.security.inputs import Asked

__all__ = ["Mounts", "completed", "moment_of", "settings_changed", "settings_from"]

#: Directories by their path in the component: a path (read only) or a `Directory`.
Mounts = Mapping[str, "str | os.PathLike[str] | Directory"]
#: Fields of `Settings` that were given; `limits`, `actor` and `config` with what of them was.
Given = dict[str, Any]

_PARTS: Final = ("limits", "actor", "config")
_DEFAULTS: Final = Settings()


def settings_from(
    *,
    lifetime: str | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    instances: int | None = None,
    drain: float | None = None,
    keep: int | None = None,
    actor: ActorSettings | Mapping[str, Any] | None = None,
    ceilings: Ceilings | None = None,
    capabilities: Asked | None = None,
    mounts: Mounts | None = None,
    environment: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    enforcement: Enforcement | None = None,
    observe_until: dt.datetime | None = None,
    implements: object = None,
    replay: Replay | None = None,
) -> Settings:
    """Return settings that remember what of them was given; `completed` fills in the rest.

    Of `limits` and `actor` that is what differs from the defaults, or the keys of a mapping.

    Raises:
        InvalidSetting: A value is out of range.
        InvalidContract: `implements` is no contract.
    """
    contract = needed(implements)
    given: Given = {
        "lifetime": lifetime,
        "limits": None if limits is None else _limits(limits),
        "instances": instances,
        "drain": drain,
        "keep": keep,
        "actor": None if actor is None else _actor(actor),
        "ceilings": ceilings,
        "mounts": None if mounts is None else mounts_from(mounts),
        "environment": None if environment is None else dict(environment),
        "config": None if config is None else dict(config),
        "enforcement": enforcement,
        "observe_until": moment_of(observe_until),
        "implements": None if contract is None else contract.required,
        "replay": replay,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if actor is not None:
        own = actor.config if isinstance(actor, ActorSettings) else actor.get("config", {})
        _join_config(given, own)
    return _assembled("", given, capabilities_from(capabilities), None, None)


def settings_changed(
    settings: Settings,
    *,
    joined: bool = False,
    capabilities: Asked | None = None,
    **changes: Any,
) -> Settings:
    """Return settings in which what is given here replaces what was given before.

    Args:
        settings: Those there are.
        joined: Of `limits`, `actor` and `config` what is not given stays as it was given before;
            else each replaces all of what was.
        capabilities: What the component asks for; as before where it is None.
        **changes: As for `settings_from`; None changes nothing.

    Raises:
        InvalidSetting: A value is out of range.
    """
    given = _given_of(settings)
    if changes.get("lifetime") not in (None, "actor"):
        given.pop("actor", None)
    if changes.get("enforcement") is not None:
        given.pop("observe_until", None)
    # An observation that is prolonged goes on as one.
    lone = changes.get("observe_until") is not None and changes.get("enforcement") is None
    new = settings_from(**(changes | ({"enforcement": given.get("enforcement")} if lone else {})))
    asked = settings.capabilities if capabilities is None else capabilities_from(capabilities)
    then = _given_of(new)
    if joined:
        then |= {part: {**given.get(part, {}), **then[part]} for part in _PARTS if part in then}
    return _assembled("", {**given, **then}, asked, None, None)


def completed(
    settings: Settings,
    name: str,
    manifest: ComponentManifest | None,
    configuration: Configuration | None,
) -> Settings:
    """Return settings with what was not given: from the host's file, the manifest, the defaults.

    Args:
        settings: As `settings_from` or `settings_changed` made them.
        name: The deployment.
        manifest: What the component carries.
        configuration: The file of the host.

    Raises:
        ManifestError: They do not fit together; the message names the key.
        InvalidSetting: A value is out of range.
    """
    given = _given_of(settings)
    return _assembled(name, given, settings.capabilities, manifest, configuration)


def moment_of(at: dt.datetime | None) -> float | None:
    """Return a moment in seconds since 1970.

    Raises:
        InvalidSetting: It is no moment, or has no time zone.
    """
    if at is None:
        return None
    if not isinstance(at, dt.datetime):
        raise InvalidSetting(f"{at!r} is no moment", hint="as datetime.now(timezone.utc)")
    if at.tzinfo is None:
        raise InvalidSetting(
            f"{at.isoformat()} has no time zone", hint="as datetime.now(timezone.utc)"
        )
    return at.timestamp()


def _assembled(
    name: str,
    given: Given,
    capabilities: Capabilities | None,
    manifest: ComponentManifest | None,
    configuration: Configuration | None,
) -> Settings:
    lifetime = given.get("lifetime") or (
        "actor" if "actor" in given else None if manifest is None else manifest.instance.lifetime
    )
    entry = None if configuration is None else configuration.entry(name)
    values: Given = {}
    if entry is not None and configuration is not None:
        values = _filed(entry, configuration, pooled=lifetime == "pooled")
    if "enforcement" in given:
        values.pop("observe_until", None)
    parts = {part: {**values.get(part, {}), **given.get(part, {})} for part in _PARTS}
    values = {**values, **given}
    limits = _DEFAULT_LIMITS | parts["limits"]
    maxima = None if configuration is None else configuration.maxima
    limits |= effective_limits(name, parts["limits"], manifest, maxima, _DEFAULT_LIMITS)
    config = effective_config(name, parts["config"], manifest)
    actor = None
    if lifetime == "actor" or "actor" in given:
        declared = None
        if manifest is not None:
            declared = StateRules(manifest.state.hand_over, manifest.state.rollback)
        actor = ActorSettings(**parts["actor"], config=config, declared=declared)
    plain = {key: value for key, value in values.items() if key not in _PARTS}
    plain |= {"limits": limits, "actor": actor, "config": config, "capabilities": capabilities}
    return Settings(**plain | {"lifetime": lifetime or "call"}, said=_names(given))


def _filed(entry: DeploymentEntry, configuration: Configuration, *, pooled: bool) -> Given:
    """Return what the file of a host gives a deployment."""
    bounds = entry.limits
    limits: dict[str, float] = {
        "storage": bytes_of(bounds.storage),
        "open_handles": bounds.open_handles,
    }
    if bounds.memory is not None:
        limits["memory"] = bytes_of(bounds.memory)
    if bounds.call_timeout is not None:
        limits["call_timeout"] = seconds_of(bounds.call_timeout)
    if bounds.cpu_per_call is not None:
        limits["cpu_per_call"] = seconds_of(bounds.cpu_per_call)
    if bounds.messages_per_second is not None:
        limits["messages_per_second"] = bounds.messages_per_second
    backoff = entry.supervision.backoff
    actor: dict[str, Any] = {
        "mailbox": bounds.mailbox,
        "mailbox_bytes": bytes_of(bounds.mailbox_bytes),
        "message_size": bytes_of(bounds.message_size),
        "on_overflow": entry.on_overflow,
        "restart": entry.supervision.restart,
        "burst": entry.supervision.burst,
        "period": seconds_of(entry.supervision.period),
        "backoff": (seconds_of(backoff.min), seconds_of(backoff.max)),
    }
    if entry.health is not None:
        actor["health_interval"] = seconds_of(entry.health.interval)
        actor["health_timeout"] = seconds_of(entry.health.timeout)
        actor["health_failures"] = entry.health.failures
    given: Given = {
        "limits": limits,
        "actor": actor,
        "config": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in entry.config.items()
        },
        "drain": seconds_of(entry.drain),
        "keep": entry.keep,
        "mounts": mounts_from(
            {
                guest: Directory(configuration.path(mount.path), mount.write)
                for guest, mount in entry.mounts.items()
            }
        ),
        "environment": dict(entry.environment),
        "enforcement": entry.enforcement,
        "observe_until": moment_of(entry.observe_until),
    }
    if bounds.instances is not None and pooled:
        given["instances"] = bounds.instances
    elif bounds.instances is not None:
        given["ceilings"] = Ceilings(instances=bounds.instances)
    return given


def _limits(given: Limits | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(given, Limits):
        values = {key: getattr(given, key) for key in _DEFAULT_LIMITS}
    else:
        try:
            Limits(**given)
        except ValueError as error:
            raise InvalidSetting(str(error)) from error
        values = dict(given)
    for name in SIZES:
        if name in values:
            values[name] = parse_bytes(values[name], name=name)
    if isinstance(given, Limits):
        return {key: value for key, value in values.items() if value != _DEFAULT_LIMITS[key]}
    return values


def _actor(given: ActorSettings | Mapping[str, Any]) -> dict[str, Any]:
    values = _fields(given) if isinstance(given, ActorSettings) else dict(given)
    # Of the deployment, and of the component's manifest.
    values.pop("config", None)
    values.pop("declared", None)
    if isinstance(given, ActorSettings):
        default = ActorSettings()
        return {key: value for key, value in values.items() if value != getattr(default, key)}
    return values


def _join_config(given: Given, own: Mapping[str, Any]) -> None:
    config = given.get("config", {})
    for key, value in own.items():
        if key in config and config[key] != value:
            raise InvalidSetting(
                f"config gives {key!r} two values, {config[key]!r} and {value!r}",
                hint="give it once, by `config` or by `actor`",
            )
    if own:
        given["config"] = {**config, **own}


def _given_of(settings: Settings) -> Given:
    """Return what was given of settings."""
    if settings.said is None:
        return _differing(settings)
    given: Given = {}
    for name in settings.said:
        part, dot, key = name.partition(".")
        if part not in _PARTS:
            given[part] = getattr(settings, part)
        elif not dot:
            given.setdefault(part, {})
        else:
            whole = getattr(settings, part)
            given.setdefault(part, {})[key] = getattr(whole, key) if part == "actor" else whole[key]
    return given


def _differing(settings: Settings) -> Given:
    """Return what must have been given: of records that do not say, what is no default."""
    given: Given = {
        key: value
        for key, value in _fields(settings).items()
        if key not in ("capabilities", "said", *_PARTS) and value != getattr(_DEFAULTS, key)
    }
    given["limits"] = {
        key: value
        for key, value in settings.limits.items()
        if value != _DEFAULT_LIMITS.get(key, value)
    }
    given["config"] = dict(settings.config)
    if settings.actor is not None:
        given["actor"] = _actor(settings.actor)
        _join_config(given, settings.actor.config)
    return given


def _names(given: Given) -> tuple[str, ...]:
    names = []
    for name, value in given.items():
        if name not in _PARTS:
            names.append(name)
            continue
        names.extend(f"{name}.{key}" for key in value)
        if name == "actor":
            names.append(name)
    return tuple(sorted(names))


def _fields(record: Any) -> dict[str, Any]:
    return {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)
        if field.init
    }


_DEFAULT_LIMITS: Final = cast("dict[str, float]", _fields(Limits())) | {
    name: parse_bytes(getattr(Limits(), name), name=name) for name in SIZES
}
