"""What a host lets in: signatures, blocks and versions, asked at every load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from semver import Version

from airssys.wasm.trust.errors import DowngradeRefused
from airssys.wasm.trust.store import Assessment, Level, TrustStore

if TYPE_CHECKING:
    from pathlib import Path

    from airssys.wasm.registry import Registry
    from airssys.wasm.revision import Revision
    from airssys.wasm.trust.store import Admission

__all__ = ["Admissions"]


class Admissions:
    """The admission of components to one host.

    Args:
        directory: The state directory, which holds the trust store.
        admission: `any` component that is not blocked, or only `trusted` ones.
        registry: The versions that names have had.
    """

    def __init__(self, directory: Path, admission: Admission, registry: Registry) -> None:
        self._store = TrustStore(directory)
        self._admission = admission
        self._registry = registry

    @property
    def needed(self) -> bool:
        """Whether anything may be refused: else there is nothing to verify a component against."""
        return self._admission != "any" or self._store.exists

    def admit(self, content: bytes, name: str, *, allow_downgrade: bool) -> Assessment:
        """Return the assessment of a component that may become a revision of a deployment.

        Raises:
            ComponentBlocked: It is blocked.
            NotTrusted: It is not trusted, and this host asks for that.
            DowngradeRefused: Its signed version is lower than one the name has had, or than the
                floor. `allow_downgrade` excuses the former alone.
            TrustStoreUnusable: The trust store is damaged.
        """
        if not self.needed:
            return Assessment(Level.UNKNOWN)
        found = self._store.admit(content, name, self._admission)
        if found.version is None:
            return found
        version = Version.parse(found.version)
        highest = max(map(Version.parse, self._registry.versions(name)), default=version)
        downgrade = version < highest
        if downgrade and not allow_downgrade:
            raise DowngradeRefused(
                f"'{name}' has had version {highest}, this is {version}",
                hint="roll back to the revision that had it, or allow the downgrade",
                name=name,
            )
        self._above_floor(name, version)
        return msgspec.structs.replace(found, downgrade=downgrade)

    def readmit(self, content: bytes, name: str, revision: Revision) -> None:
        """Return if a revision may still be loaded: rights end when keys and components do.

        Raises:
            ComponentBlocked: It is blocked by now.
            NotTrusted: It is not trusted any more, and this host asks for that.
            DowngradeRefused: Its version is below the floor.
            TrustStoreUnusable: The trust store is damaged.
        """
        found = self._store.admit(content, name, self._admission)
        if found.level is Level.TRUSTED and revision.version is not None:
            self._above_floor(name, Version.parse(revision.version))

    def _above_floor(self, name: str, version: Version) -> None:
        floor = self._store.floors().get(name)
        if floor is not None and version < Version.parse(floor):
            raise DowngradeRefused(
                f"'{name}' may not go below version {floor}, this is {version}",
                hint="deploy a later version",
                name=name,
            )
