"""Components that need others: ranges of versions, resolved when one is deployed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from semver import Version

from airssys.wasm.delivery.errors import DependencyRefused
from airssys.wasm.delivery.interface import breaks
from airssys.wasm.host_errors import UnknownDeployment
from airssys.wasm.manifest import embedded_manifest
from airssys.wasm.revision import About, Locked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airssys.wasm.component import Component
    from airssys.wasm.registry import Registry
    from airssys.wasm.revision import Revision

__all__ = [
    "about_of",
    "check_dependants",
    "check_imports",
    "dependants",
    "in_range",
    "resolved",
]

_TERM: Final = re.compile(r"(\^|~|>=|<=|>|<|=)?\s*(\d+)(?:\.(\d+))?(?:\.(\d+))?(-[0-9A-Za-z.-]+)?")


def in_range(version: str, versions: str) -> bool:
    """Return whether a version is in a range: `^1.2`, `~1.2.3`, `>=1.0, <2.0`, `1.2.3`, `*`.

    A version without an operator is meant as with `^`. A pre-release is in a range only where the
    range itself names one.

    Raises:
        ValueError: The range is none.
    """
    found = Version.parse(version)
    if versions.strip() == "*":
        return not found.prerelease
    terms = [term.strip() for term in versions.split(",")]
    matches = [_TERM.fullmatch(term) for term in terms]
    if not all(matches):
        raise ValueError(f"{versions!r} is no range of versions, as ^1.2 or >=1.0, <2.0")
    if found.prerelease and not any(match and match[5] for match in matches):
        return False
    return all(match is not None and _fits(found, match) for match in matches)


def _fits(found: Version, match: re.Match[str]) -> bool:
    operator, major, minor, patch, prerelease = match.groups()
    low = Version(int(major), int(minor or 0), int(patch or 0), (prerelease or "")[1:] or None)
    match operator:
        case ">=":
            return found >= low
        case "<=":
            return found <= low
        case ">":
            return found > low
        case "<":
            return found < low
        case "=":
            return found == low
        case "~":
            high = low.bump_minor() if minor is not None else low.bump_major()
        case _:  # the leftmost number that is not zero stays
            if low.major or minor is None:
                high = low.bump_major()
            elif low.minor or patch is None:
                high = low.bump_minor()
            else:
                high = low.bump_patch()
    # A pre-release of what is beyond is beyond too.
    return low <= found < high.replace(prerelease="0")


def about_of(content: bytes) -> tuple[About, Mapping[str, str]]:
    """Return what the manifest in a component says of it, and what it depends on.

    Raises:
        ManifestError: The component carries something that is no manifest.
    """
    manifest = embedded_manifest(content) if content.startswith(b"\0asm") else None
    if manifest is None:
        return About(), {}
    component = manifest.component
    about = About(
        version=component.version,
        description=component.description,
        keywords=component.keywords,
        authors=component.authors,
        license=component.license,
        repository=component.repository,
    )
    return about, manifest.dependencies


def resolved(name: str, wanted: Mapping[str, str], registry: Registry) -> dict[str, Locked]:
    """Return what is live of everything that a component depends on.

    Args:
        name: The deployment that it is to be.
        wanted: Ranges of versions, by deployment.
        registry: What is live.

    Raises:
        DependencyRefused: Something is missing, of another version, or depends on `name` itself.
    """
    found = {}
    for other, versions in wanted.items():
        try:
            live = registry.revision(other, registry.deployment(other).live)
        except UnknownDeployment:
            raise DependencyRefused(
                f"'{name}' depends on '{other}' {versions}, and there is no such deployment",
                hint=f"deploy '{other}' first",
                name=name,
                dependency=other,
            ) from None
        if not live.about.version or not in_range(live.about.version, versions):
            has = live.about.version or "a component without a version"
            raise DependencyRefused(
                f"'{name}' depends on '{other}' {versions}, and {has} is live",
                hint=f"deploy a '{other}' in that range",
                name=name,
                dependency=other,
            )
        _refuse_cycle([name, other], live, registry)
        found[other] = Locked(
            range=versions,
            version=live.about.version,
            revision=live.number,
            digest=live.digest,
        )
    return found


def _refuse_cycle(path: list[str], live: Revision, registry: Registry) -> None:
    for other in live.dependencies:
        if other == path[0]:
            raise DependencyRefused(
                f"'{path[0]}' would depend on itself: {' -> '.join([*path, other])}",
                hint="take one of these dependencies away",
                name=path[0],
            )
        try:
            below = registry.revision(other, registry.deployment(other).live)
        except UnknownDeployment:
            continue
        _refuse_cycle([*path, other], below, registry)


def dependants(name: str, registry: Registry) -> list[tuple[str, Revision]]:
    """Return what is live and depends on a deployment, by its name."""
    live = [(each.name, registry.revision(each.name, each.live)) for each in registry.depending()]
    return [
        (other, revision)
        for other, revision in live
        if other != name and name in revision.dependencies
    ]


def check_dependants(name: str, about: About, registry: Registry) -> None:
    """Refuse a version that those which depend on a deployment cannot use.

    Raises:
        DependencyRefused: One cannot; the message names it and its range.
    """
    for other, revision in dependants(name, registry):
        locked = revision.dependencies[name]
        if not about.version or not in_range(about.version, locked.range):
            has = f"version {about.version}" if about.version else "a component without a version"
            raise DependencyRefused(
                f"'{other}' depends on '{name}' {locked.range}, and this is {has}",
                hint=f"deploy a '{other}' that can use it first",
                name=name,
                dependant=other,
            )


def check_imports(
    name: str, before: Component, after: Component, users: Iterable[tuple[str, Component]]
) -> None:
    """Refuse a component that no longer exports what those which depend on it import.

    Args:
        name: The deployment.
        before: Its live component.
        after: What would take its place.
        users: The components that depend on it, by their deployments.

    Raises:
        DependencyRefused: Something is gone or has another structure; the message says what.
    """
    for other, component in users:
        if broken := breaks(component, before, after):
            raise DependencyRefused(
                f"'{other}' imports what this '{name}' does not export: {'; '.join(broken)}",
                hint=f"keep what it imports, or deploy a '{other}' that imports what there is",
                name=name,
                dependant=other,
                broken=broken,
            )
