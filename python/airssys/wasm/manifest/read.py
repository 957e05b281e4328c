"""Reading manifests, with errors that name file, line and column."""

from __future__ import annotations

import difflib
import os
import posixpath
from typing import TYPE_CHECKING, Final, TypeVar

from semver import Version

from airssys.osl.regular_file import read_regular
from airssys.osl.schema_file import Problem, check_toml, position_in, read_text
from airssys.wasm.delivery.errors import InvalidStrategy
from airssys.wasm.deployment_name import check_deployment_name
from airssys.wasm.host_errors import InvalidDeploymentName
from airssys.wasm.manifest.component_manifest import ComponentManifest, ConfigEntry
from airssys.wasm.manifest.errors import ManifestError
from airssys.wasm.manifest.filed_strategy import filed_strategy
from airssys.wasm.manifest.host_manifest import DeploymentEntry, HostManifest, Maxima
from airssys.wasm.manifest.quantities import WORDS, bytes_of, seconds_of
from airssys.wasm.manifest.requests import WrongRequestError, requested, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airssys.osl.schema_file import Location

__all__ = [
    "check_component_manifest",
    "parse_component_manifest",
    "parse_host_manifest",
    "read_component_manifest",
    "read_host_manifest",
]

# Bytes of a manifest.
_MOST: Final = 4 << 20

M = TypeVar("M", ComponentManifest, HostManifest)

_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "strings": tuple,
}


def read_component_manifest(path: str | os.PathLike[str]) -> ComponentManifest:
    """Read a `Component.toml`.

    Raises:
        ManifestError: The file is not one; the message begins with `file:line:column`.
        OSError: The file cannot be read.
    """
    return parse_component_manifest(_text(path), os.fspath(path))


def read_host_manifest(path: str | os.PathLike[str]) -> HostManifest:
    """Read an `airssys.toml`.

    Raises:
        ManifestError: The file is not one; the message begins with `file:line:column`.
        OSError: The file cannot be read.
    """
    return parse_host_manifest(_text(path), os.fspath(path))


def parse_component_manifest(text: str, name: str = "Component.toml") -> ComponentManifest:
    """Check the text of a `Component.toml`; `name` stands for it in errors.

    Raises:
        ManifestError: As `read_component_manifest` says.
    """
    manifest = _checked(text, name, ComponentManifest)
    _refuse_first(text, name, _wrong_in_component(manifest))
    return manifest


def parse_host_manifest(text: str, name: str = "airssys.toml") -> HostManifest:
    """Check the text of an `airssys.toml`; `name` stands for it in errors.

    Raises:
        ManifestError: As `read_host_manifest` says.
    """
    manifest = _checked(text, name, HostManifest)
    _refuse_first(text, name, _wrong_in_host(manifest))
    return manifest


def check_component_manifest(manifest: ComponentManifest, name: str) -> None:
    """Check what a shape alone cannot, of a manifest that has no text.

    Raises:
        ManifestError: It is not one; the message names the key.
    """
    for where, problem in _wrong_in_component(manifest):
        raise ManifestError(f"{name}, {shown(where)}: {problem}", key=shown(where))


def _text(path: str | os.PathLike[str]) -> str:
    try:
        return read_text(read_regular(path, _MOST), os.fspath(path))
    except Problem as problem:
        raise problem.as_error(ManifestError) from problem.__cause__


def _checked(text: str, name: str, shape: type[M]) -> M:
    try:
        return check_toml(text, name, shape, WORDS).value
    except Problem as problem:
        raise problem.as_error(ManifestError) from problem.__cause__


def _refuse_first(text: str, name: str, wrong: Iterator[tuple[Location, str]]) -> None:
    for where, problem in wrong:
        raise position_in(text, name, where, problem).as_error(ManifestError)


def _wrong_in_component(manifest: ComponentManifest) -> Iterator[tuple[Location, str]]:
    yield from _wrong_name(("component", "name"), manifest.component.name)
    if not Version.is_valid(manifest.component.version):
        yield (
            ("component", "version"),
            f"{manifest.component.version!r} is no version; expected semver, such as 1.2.0",
        )
    try:
        requested(manifest)
    except WrongRequestError as wrong:
        yield wrong.where, str(wrong)
    for key, entry in manifest.config.items():
        if entry.default is not None and not fits(entry, entry.default):
            problem = f"the default {entry.default!r} is no {entry.type}"
            yield ("config", key, "default"), problem
    if manifest.state.hand_over != "none" and manifest.instance.lifetime != "actor":
        problem = "only instances of lifetime 'actor' have state to hand over"
        yield ("state", "hand_over"), problem
    for dependency in manifest.dependencies:
        yield from _wrong_name(("dependencies", dependency), dependency)
        if dependency == manifest.component.name:
            yield ("dependencies", dependency), "a component cannot depend on itself"


def _wrong_in_host(manifest: HostManifest) -> Iterator[tuple[Location, str]]:
    for namespace in manifest.namespaces:
        # A namespace is what stands before the first `/` of a name that is valid.
        yield from _wrong_name(("namespaces", namespace), f"{namespace}/deployment", namespace)
    for name, entry in manifest.deployments.items():
        where = ("deployments", name)
        yield from _wrong_name(where, name)
        yield from _wrong_in_deployment(where, entry, manifest)


def _wrong_name(where: Location, name: str, shown: str = "") -> Iterator[tuple[Location, str]]:
    try:
        check_deployment_name(name)
    except InvalidDeploymentName as error:
        yield where, error.message.replace(name, shown) if shown else error.message


def _wrong_in_deployment(
    where: Location, entry: DeploymentEntry, host: HostManifest
) -> Iterator[tuple[Location, str]]:
    if entry.enforcement == "observe" and entry.observe_until is None:
        yield (
            (*where, "enforcement"),
            "'observe' needs `observe_until`, the moment from which it is 'enforce' again",
        )
    if entry.observe_until is not None and entry.observe_until.tzinfo is None:
        problem = "`observe_until` has no time zone; write it like 2027-01-31T00:00:00Z"
        yield (*where, "observe_until"), problem
    if entry.observe_until is not None and entry.enforcement != "observe":
        problem = f"goes with enforcement 'observe', not {entry.enforcement!r}"
        yield (*where, "observe_until"), problem
    for guest in entry.mounts:
        if not guest.startswith("/") or posixpath.normpath(guest) != guest:
            problem = "a mount is an absolute path in the component, as `/data`"
            yield (*where, "mounts", guest), problem
    try:
        filed_strategy(entry)
    except InvalidStrategy as error:
        place: Location = error.context["place"]  # type: ignore[assignment]  # as it documents
        yield (*where, *place), error.message
    backoff = entry.supervision.backoff
    if seconds_of(backoff.min) > seconds_of(backoff.max):
        problem = f"`min` ({backoff.min}) is above `max` ({backoff.max})"
        yield (*where, "supervision", "backoff"), problem
    if entry.health is not None and seconds_of(entry.health.timeout) > seconds_of(
        entry.health.interval
    ):
        problem = "a check may not take longer than the interval between two"
        yield (*where, "health", "timeout"), problem
    maxima = host.host.maxima or Maxima()
    for key, measure in (
        ("memory", bytes_of),
        ("call_timeout", seconds_of),
        ("cpu_per_call", seconds_of),
    ):
        wanted, most = getattr(entry.limits, key), getattr(maxima, key)
        if wanted is not None and measure(wanted) > measure(most):
            problem = f"{wanted} is above the host's maximum of {most} (host.maxima.{key})"
            yield (*where, "limits", key), problem


def fits(entry: ConfigEntry, value: object) -> bool:
    """Whether a value is of the type that a component's configuration wants."""
    if isinstance(value, bool):
        return entry.type == "boolean"
    if isinstance(value, tuple) and not all(isinstance(each, str) for each in value):
        return False
    return isinstance(value, _TYPES[entry.type])


def nearest(name: str, known: Iterator[str]) -> str:
    """Return a hint at the name that was meant, or nothing."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean `{found[0]}`?" if found else ""
