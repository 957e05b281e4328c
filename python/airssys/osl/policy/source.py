"""Where a pipeline's policy comes from, and how its changes are noticed."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from airssys.errors import AirsSysError
from airssys.osl._inotify import Inotify, Mask
from airssys.osl._native import Gate, typed
from airssys.osl.errors import OslError, PolicyError
from airssys.osl.policy.compile import describe_policy, document
from airssys.osl.policy.load import load_policy
from airssys.osl.policy.model import Enforcement, Policy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airssys.osl.policy.compile import Description
    from airssys.osl.system import OSL

__all__ = ["PolicySource"]

_log = logging.getLogger("airssys.osl")
_STRICTNESS = [Enforcement.ENFORCE, Enforcement.OBSERVE, Enforcement.LEARN]


class PolicySource:
    """Policy files, or a policy made in Python."""

    def __init__(
        self, policy: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | Policy
    ) -> None:
        self._made = policy if isinstance(policy, Policy) else None
        if isinstance(policy, Policy):
            self._files: list[Path] = []
        elif isinstance(policy, (str, os.PathLike)):
            self._files = [Path(policy)]
        else:
            self._files = [Path(path) for path in policy]

    @property
    def paths(self) -> list[str]:
        """The files, as they are reserved from every principal."""
        return [os.path.realpath(path) for path in self._files]

    def read(self) -> tuple[Policy, list[Description]]:
        """Return the policy, files merged, and the native descriptions of its rules.

        Where files say different enforcement, the strictest counts.

        Raises:
            PolicyError: A file cannot be used.
        """
        if self._made is not None:
            policy = self._made
            positions: dict[tuple[str, int], str] = {}
        else:
            policy, positions = self._merge()
        if policy.enforcement is Enforcement.OBSERVE and policy.observe_until is None:
            raise PolicyError(
                "enforcement = 'observe' needs `observe_until`, the moment from which it is "
                "'enforce' again, such as 2027-01-31T00:00:00Z",
            )
        if policy.observe_until is not None and policy.observe_until.tzinfo is None:
            raise PolicyError(
                "`observe_until` has no time zone; write it like 2027-01-31T00:00:00Z"
            )
        return policy, describe_policy(policy, positions)

    def check(self) -> Policy:
        """Return the policy after looking whether a gate would take it.

        Raises:
            PolicyError: A file cannot be used.
        """
        policy, described = self.read()
        try:
            Gate.check(document(described))
        except AirsSysError as error:
            raise typed(error) from None
        return policy

    def _merge(self) -> tuple[Policy, dict[tuple[str, int], str]]:
        tables: dict[str, list[object]] = {"rule": [], "acl": [], "role": []}
        positions: dict[tuple[str, int], str] = {}
        strictest: Policy | None = None
        for path in self._files:
            policy, found = load_policy(path)
            for (table, number), position in found.items():
                if table in tables:
                    positions[table, len(tables[table]) + number] = position
            tables["rule"].extend(policy.rules)
            tables["acl"].extend(policy.acls)
            tables["role"].extend(policy.roles)
            if strictest is None or _STRICTNESS.index(policy.enforcement) < _STRICTNESS.index(
                strictest.enforcement
            ):
                strictest = policy
        if strictest is None:
            return Policy(), positions
        merged = Policy(
            enforcement=strictest.enforcement,
            observe_until=strictest.observe_until,
            rules=tuple(tables["rule"]),  # type: ignore[arg-type]
            acls=tuple(tables["acl"]),  # type: ignore[arg-type]
            roles=tuple(tables["role"]),  # type: ignore[arg-type]
        )
        return merged, positions

    async def follow(self, system: OSL) -> None:
        """Reload `system` when one of the files changes, until cancelled."""
        if not self._files:
            raise OslError("the policy was made in Python, so there is no file to follow")
        names = {os.path.abspath(path) for path in self._files}
        with Inotify() as changes:
            # Editors and deployments replace files, so the directories are watched.
            for directory in {os.path.dirname(name) for name in names}:
                descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    changes.add(descriptor, directory, Mask.CLOSE_WRITE | Mask.MOVED_TO)
                finally:
                    os.close(descriptor)
            async for batch in changes:
                if names.isdisjoint(
                    os.path.join(event.directory, event.name) for event in batch
                ) and not any(event.overflow for event in batch):
                    continue
                try:
                    await asyncio.to_thread(system.reload)
                except (OslError, OSError) as error:
                    _log.error("policy not reloaded, the old one stays in force: %s", error)
                    system.audit.record(
                        None, "policy.reload", str(error), "outcome", detail="refused"
                    )
