"""What would be decided about a deployment, by its state directory and a policy; nothing runs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from airssys.osl.explain import Explained, explain_access
from airssys.osl.operation import Permission
from airssys.wasm._native import Subject
from airssys.wasm.deployment_name import namespace_of
from airssys.wasm.host_errors import UnknownDeployment
from airssys.wasm.security.capability_text import Use, asking_for, capability_text
from airssys.wasm.security.grants import GrantRecords
from airssys.wasm.security.rules import HeldGrant, grant_rules, request_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airssys.osl import OSL
    from airssys.wasm.registry import Registry
    from airssys.wasm.revision import DeploymentRecord, Settings
    from airssys.wasm.security.grant import Grant
    from airssys.wasm.security.mounts import Mount

__all__ = [
    "Deployed",
    "Told",
    "explain_deployed",
    "explain_in_force",
    "find_deployed",
    "needed_rule",
    "path_on_host",
]


class Deployed(NamedTuple):
    """The live revision of a deployment, and what it was granted."""

    record: DeploymentRecord
    settings: Settings
    grants: tuple[Grant, ...]


class Told(NamedTuple):
    """An explanation for a person.

    Attributes:
        explained: How it would be decided.
        needed: What one would write or type so that it is allowed; None where that is not lacking.
        seen: What the component calls the target.
    """

    explained: Explained
    needed: str | None
    seen: str | None


class _Rights:
    """What one deployment asks for and was granted, as its host puts it in force."""

    def __init__(self, deployed: Deployed, *, ceiling: bool) -> None:
        self._deployed = deployed
        self.ceiling = ceiling

    def rules(self, name: str) -> list[dict[str, Any]]:
        record, settings, grants = self._deployed
        requests = request_rules(name, record.id, record.live, settings)
        held = [HeldGrant.of(grant) for grant in grants]
        return [*requests, *grant_rules(name, {record.live: settings}, held)]


def find_deployed(registry: Registry, name: str) -> Deployed | None:
    """Return a deployment as the registry has it; None where there is none of this name."""
    try:
        record = registry.deployment(name)
    except UnknownDeployment:
        return None
    settings = registry.revision(name, record.live).settings
    return Deployed(record, settings, GrantRecords(registry).in_force(name, record.id))


def explain_deployed(
    system: OSL,
    deployed: Deployed,
    permission: Permission,
    *,
    ceiling: bool,
    address: str | None = None,
) -> Told:
    """Say how an access of a component would be decided.

    Args:
        system: Has the policy; it governs nothing else.
        deployed: The deployment.
        permission: What it wants; a path as the component sees it.
        ceiling: Whether the host has a policy, beyond which no grant is worth anything.
        address: What a host name leads to.

    Raises:
        InvalidAccess: It is no access of its kind.
    """
    system.govern(_Rights(deployed, ceiling=ceiling))
    try:
        system.reload_components([deployed.record.name])
        return explain_in_force(system, deployed, permission, address=address)
    finally:
        system.govern(None)


def explain_in_force(
    system: OSL, deployed: Deployed, permission: Permission, *, address: str | None = None
) -> Told:
    """Say how an access of a component is decided by a host that has it.

    Args:
        system: Of the host.
        deployed: The deployment.
        permission: What it wants; a path as the component sees it.
        address: What a host name leads to.

    Raises:
        InvalidAccess: It is no access of its kind.
    """
    record, settings, _ = deployed
    seen = None
    if permission.kind == "filesystem":
        seen = permission
        path = path_on_host(permission.target, settings.mounts)
        if path is None:
            return _unseen(record.name, permission)
        permission = Permission(permission.kind, permission.access, path)
    subject = Subject(
        record.name,
        namespace=namespace_of(record.name),
        deployment=record.name,
        revision=record.live,
        enforcement=settings.enforcement,
        observe_until=settings.observe_until,
        guest=True,
    )
    explained = explain_access(system.gate, subject, permission, address=address)
    seen = seen or explained.permission
    return Told(explained, _needed(record.name, explained, seen), seen.target)


def path_on_host(path: str, mounts: Mapping[str, Mount]) -> str | None:
    """Return the file that a path in a component is; None where no mount shows one."""
    path = os.path.normpath(path)
    best: tuple[int, str] | None = None
    for guest, mount in mounts.items():
        root = guest.rstrip("/")
        if (path == guest or path.startswith(f"{root}/")) and (best is None or len(root) > best[0]):
            inside = path[len(root) :].strip("/")
            best = (len(root), os.path.realpath(os.path.join(mount.path, inside)))  # noqa: PTH118
    return None if best is None else best[1]


def needed_rule(name: str, explained: Explained) -> str | None:
    """Return the rule that would allow what nothing allows; None where that is not the point."""
    if explained.rule not in {"default-deny", "beyond-policy"}:
        return None
    permission = explained.permission
    return (
        "[[rule]]\n"
        f'to = ["{name}"]\n'
        f'kind = "{permission.kind}"\n'
        f'access = ["{permission.access}"]\n'
        f"target = [{json.dumps(permission.target, ensure_ascii=False)}]"
    )


def _needed(name: str, explained: Explained, seen: Permission) -> str | None:
    match explained.rule:
        case "default-deny" | "not-requested":
            asking = asking_for([Use(seen.kind, seen.access, seen.target)])
            text = f"# in Component.toml\n{capability_text(asking)}"
            if explained.rule == "default-deny":
                text += f"# then, when it is deployed\nairssys grant {name} --requested"
            return text
        case "not-granted":
            asked = [rule for rule, _, verdict in explained.considered if verdict == "applies"]
            places = [rule.partition("capabilities.")[2] for rule in asked]
            place = next(filter(None, places), "--requested")
            return (
                f"airssys grant {name} '{place}'"
                if "[" in place
                else f"airssys grant {name} {place}"
            )
        case "beyond-policy":
            return f"# in the policy of the host\n{needed_rule(name, explained)}"
        case _:
            return None


def _unseen(name: str, permission: Permission) -> Told:
    explained = Explained(
        permission, "deny", "no-mount", f"no mount of {name} shows this path", None, ()
    )
    needed = 'deploy it with a mount: `mounts={"/data": "/srv/data"}`'
    return Told(explained, needed, permission.target)
