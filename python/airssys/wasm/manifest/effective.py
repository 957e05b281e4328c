"""What a deployment gets of what both files, the host's maxima and the operator's call say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airssys.wasm.manifest.errors import ManifestError
from airssys.wasm.manifest.quantities import bytes_of, seconds_of
from airssys.wasm.manifest.read import fits, nearest
from airssys.wasm.manifest.requests import requested_of, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airssys.wasm.manifest.component_manifest import (
        Capabilities,
        ComponentManifest,
        ConfigEntry,
    )
    from airssys.wasm.manifest.host_manifest import Maxima

__all__ = ["BOUNDED", "effective_config", "effective_limits", "granted_places"]

#: The limits that a component can need and a host has maxima of, and how their text is read.
BOUNDED: Final = {
    "memory": bytes_of,
    "call_timeout": seconds_of,
    "cpu_per_call": seconds_of,
}


def effective_limits(
    deployment: str,
    given: Mapping[str, float],
    manifest: ComponentManifest | None,
    maxima: Maxima | None,
    defaults: Mapping[str, float],
) -> dict[str, float]:
    """Return `memory`, `call_timeout` and `cpu_per_call` of a deployment, in bytes and seconds.

    What the operator gives counts; else what the component says it needs; else the default, or the
    host's maximum where that is less.

    Args:
        deployment: Its name, for errors.
        given: What the operator gives, of any of them.
        manifest: Of the component, where it carries one.
        maxima: Of the host, where it has any.
        defaults: Of all of them.

    Raises:
        ManifestError: The component needs more than it would get, or is given more than the host's
            maximum.
    """
    found: dict[str, float] = {}
    for key, measure in BOUNDED.items():
        written = None if manifest is None else getattr(manifest.needs, key)
        need = None if written is None else measure(written)
        most = None if maxima is None else measure(getattr(maxima, key))
        limit = given.get(key)
        if limit is not None and most is not None and limit > most:
            raise ManifestError(
                f"{deployment!r} is to get {_shown(key, limit)} of {key}, and the host gives "
                f"{_shown(key, most)} at most; raise host.maxima.{key}, or give it less",
                deployment=deployment,
                key=key,
            )
        if limit is None:
            limit = defaults[key] if need is None else need
            limit = limit if most is None else min(limit, most)
        if manifest is not None and need is not None and need > limit:
            which = "host.maxima" if limit == most else "the limits of the deployment"
            raise ManifestError(
                f"{manifest.component.name} needs {written} of {key} and {deployment!r} gets "
                f"{_shown(key, limit)}; raise {key} in {which}",
                deployment=deployment,
                key=key,
            )
        found[key] = limit
    return found


def _shown(key: str, limit: float) -> str:
    if key != "memory":
        return f"{limit:g}s"
    whole, rest = divmod(int(limit), 1 << 20)
    return f"{int(limit)} bytes" if rest else f"{whole}MiB"


def granted_places(
    deployment: str, grants: str | Collection[str], capabilities: Capabilities | None
) -> frozenset[str]:
    """Return the places of the requests that the operator's file grants.

    Args:
        deployment: Its name, for errors.
        grants: What the file says: `requested` for all, or places, as `filesystem[0]`.
        capabilities: What the component asks for.

    Raises:
        ManifestError: The component has no request at a place.
    """
    asked = [] if capabilities is None else requested_of(capabilities)
    places = [shown(request.where) for request in asked]
    if isinstance(grants, str):
        return frozenset(places)
    granted = set()
    for place in grants:
        full = place if place.startswith("capabilities.") else f"capabilities.{place}"
        if full not in places:
            raise ManifestError(
                f"deployments.{deployment!r}.grants: the component has no request "
                f"{place!r}{nearest(full, iter(places))}",
                deployment=deployment,
                key="grants",
            )
        granted.add(full)
    return frozenset(granted)


def effective_config(
    deployment: str, given: Mapping[str, object], manifest: ComponentManifest | None
) -> dict[str, object]:
    """Return every value of a component's configuration: those given, and the defaults of the rest.

    A component without a manifest has no schema for it, and takes whatever is given.

    Raises:
        ManifestError: A value is not of its type, is not set and has no default, or the component
            has no such setting.
    """
    if manifest is None:
        return dict(given)

    def fail(key: str, problem: str) -> ManifestError:
        return ManifestError(
            f"configuration of {deployment!r}: {key} {problem}", deployment=deployment, key=key
        )

    name = manifest.component.name
    for key, value in given.items():
        entry = manifest.config.get(key)
        if entry is None:
            known = ", ".join(manifest.config)
            hint = nearest(key, iter(manifest.config)) or (
                f"; it has {known}" if known else "; it has none"
            )
            raise fail(key, f"is no setting of {name}{hint}")
        if not _takes(entry, value):
            raise fail(key, f"takes a value of type {entry.type}, not {value!r}")
    values: dict[str, object] = {}
    for key, entry in manifest.config.items():
        chosen = given.get(key, entry.default)
        if chosen is None:
            raise fail(key, f"is not set, and {name} has no default for it")
        values[key] = list(chosen) if isinstance(chosen, tuple) else chosen
    return values


def _takes(entry: ConfigEntry, value: object) -> bool:
    # Python code writes lists where files have tuples.
    if isinstance(value, list):
        value = tuple(value)
    return fits(entry, value)
