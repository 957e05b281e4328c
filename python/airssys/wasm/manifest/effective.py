"""What a deployment gets: the stricter of both files and the host's maxima."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from airssys.wasm.manifest.errors import ManifestError
from airssys.wasm.manifest.quantities import bytes_of, seconds_of
from airssys.wasm.manifest.read import fits, nearest
from airssys.wasm.manifest.requests import requested_of, shown

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from airssys.wasm.manifest.component_manifest import ComponentManifest
    from airssys.wasm.manifest.host_manifest import DeploymentEntry, HostManifest, MountEntry

__all__ = ["Effective", "effective"]


class Effective(NamedTuple):
    """The values a revision is stored with.

    Attributes:
        memory: Bytes of linear memory of an instance.
        call_timeout: Seconds of one call.
        cpu_per_call: Seconds of processor time of one call.
        lifetime: Of an instance.
        config: Every value of the component's configuration.
        mounts: Directories of this machine, by their path in the component.
        environment: Variables that it may be granted to read.
        enforcement: `enforce` or `observe`.
        observe_until: When observing ends, or None.
        grants: What the operator's file grants of the requests: their places, as
            `capabilities.filesystem[0]`.
    """

    memory: int
    call_timeout: float
    cpu_per_call: float
    lifetime: str
    config: Mapping[str, object]
    mounts: Mapping[str, MountEntry]
    environment: Mapping[str, str]
    enforcement: Literal["enforce", "observe"]
    observe_until: dt.datetime | None
    grants: tuple[str, ...]


def effective(component: ComponentManifest, deployment: str, host: HostManifest) -> Effective:
    """Combine what a component needs with what its deployment is given here.

    Raises:
        ManifestError: It needs more than it is given, or its configuration does not fit; the
            message names the key of the file to change.
    """
    entry = host.deployments.get(deployment)
    if entry is None:
        hint = nearest(deployment, iter(host.deployments))
        raise ManifestError(f"no deployment {deployment!r} in the host's file{hint}")
    given: dict[str, float] = {}
    for key, measure in (
        ("memory", bytes_of),
        ("call_timeout", seconds_of),
        ("cpu_per_call", seconds_of),
    ):
        limit = getattr(entry.limits, key) or getattr(host.host.maxima, key)
        need = getattr(component.needs, key)
        if need is not None and measure(need) > measure(limit):
            raise ManifestError(
                f"{component.component.name} needs {need} of {key} and {deployment} gets {limit}; "
                f"raise deployments.{deployment!r}.limits.{key} or host.maxima.{key}",
                deployment=deployment,
                key=key,
            )
        given[key] = measure(limit)
    return Effective(
        int(given["memory"]),
        given["call_timeout"],
        given["cpu_per_call"],
        component.instance.lifetime,
        _config(component, deployment, entry),
        entry.mounts,
        entry.environment,
        entry.enforcement,
        entry.observe_until,
        _grants(component, deployment, entry),
    )


def _grants(
    component: ComponentManifest, deployment: str, entry: DeploymentEntry
) -> tuple[str, ...]:
    places = [shown(request.where) for request in requested_of(component.capabilities)]
    if entry.grants == "requested":
        return tuple(places)
    granted = []
    for place in entry.grants:
        full = place if place.startswith("capabilities.") else f"capabilities.{place}"
        if full not in places:
            raise ManifestError(
                f"deployments.{deployment!r}.grants: {component.component.name} has no request "
                f"{place!r}{nearest(full, iter(places))}",
                deployment=deployment,
                key="grants",
            )
        granted.append(full)
    return tuple(granted)


def _config(
    component: ComponentManifest, deployment: str, entry: DeploymentEntry
) -> Mapping[str, object]:
    def fail(key: str, problem: str) -> ManifestError:
        return ManifestError(
            f"deployments.{deployment!r}.config.{key}: {problem}", deployment=deployment, key=key
        )

    for key, value in entry.config.items():
        if key not in component.config:
            hint = nearest(key, iter(component.config))
            raise fail(key, f"{component.component.name} has no such setting{hint}")
        if not fits(component.config[key], value):
            raise fail(key, f"expected a {component.config[key].type}, got {value!r}")
    values: dict[str, object] = {}
    for key, wanted in component.config.items():
        chosen = entry.config.get(key, wanted.default)
        if chosen is None:
            raise fail(key, f"is not set, and {component.component.name} has no default for it")
        values[key] = chosen
    return values
