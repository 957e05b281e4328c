"""What deployments ask for and were granted, while their host is open."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from airssys.wasm.host_errors import HostClosed
from airssys.wasm.security.rules import HeldGrant, grant_rules, request_rules

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from airssys.wasm.revision import Settings
    from airssys.wasm.security.grant import Grant
    from airssys.wasm.security.mounts import Mount

__all__ = ["DeploymentRights", "RightsTable"]


class DeploymentRights:
    """What one deployment asks for and was granted, while its host is open."""

    def __init__(self, name: str, identity: int | None, grants: Iterable[Grant] = ()) -> None:
        self.name = name
        self._identity = identity
        self.revisions: dict[int, Settings] = {}
        self.grants = [HeldGrant.of(grant) for grant in grants]
        self._requests: dict[int, list[dict[str, Any]]] = {}

    @property
    def identity(self) -> int:
        """The id of the deployment."""
        assert self._identity is not None, "set aside, or given with the first revision"  # noqa: S101
        return self._identity

    @identity.setter
    def identity(self, identity: int) -> None:
        self._identity = identity

    @property
    def known_identity(self) -> int | None:
        """The id of the deployment; None where it has none yet."""
        return self._identity

    def add(self, number: int, settings: Settings) -> None:
        """Take up what a revision asks for."""
        self.revisions[number] = settings
        if settings.capabilities is None and not settings.config:
            self._requests[number] = []
        else:
            self._requests[number] = request_rules(self.name, self.identity, number, settings)

    def keep(self, numbers: Collection[int]) -> None:
        """Forget what other revisions ask for."""
        for number in [each for each in self.revisions if each not in numbers]:
            del self.revisions[number], self._requests[number]

    @property
    def needs(self) -> bool:
        """Whether there is anything to put in force."""
        return bool(self.grants) or any(self._requests.values())

    def rules(self) -> list[dict[str, Any]]:
        """Return what is to be in force."""
        requests = [rule for rules in self._requests.values() for rule in rules]
        return [*requests, *grant_rules(self.name, self.revisions, self.grants)]


class RightsTable:
    """The rights of all deployments of a host by name.

    Attributes:
        lock: Held while the table, or the rights in it, are read or written.
    """

    def __init__(self) -> None:
        # Held for reading and writing alone, because whoever reloads the policy reads it too.
        self.lock = threading.Lock()
        self.by_name: dict[str, DeploymentRights] = {}

    def rights(self, name: str) -> DeploymentRights:
        """Return the rights of a deployment.

        Raises:
            HostClosed: It was removed meanwhile.
        """
        with self.lock:
            rights = self.by_name.get(name)
        if rights is None:
            raise HostClosed(f"deployment '{name}' was removed", name=name)
        return rights

    def rules(self, name: str) -> list[dict[str, Any]]:
        """Return what is to be in force for a deployment; nothing where there is none."""
        with self.lock:
            rights = self.by_name.get(name)
            return [] if rights is None else rights.rules()

    def names(self) -> dict[int, str]:
        """Return the names of the deployments that have an id, by it."""
        with self.lock:
            return {
                each.known_identity: each.name
                for each in self.by_name.values()
                if each.known_identity is not None
            }

    def mounts(self, name: str, number: int) -> Mapping[str, Mount]:
        """Return what a revision that runs sees of the host."""
        with self.lock:
            rights = self.by_name.get(name)
            settings = None if rights is None else rights.revisions.get(number)
        return {} if settings is None else settings.mounts
