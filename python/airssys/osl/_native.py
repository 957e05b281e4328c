"""The one door to the native gate, audit log and confined spawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys._core import (
    AuditLog,
    AuditReader,
    Callers,
    Child,
    Decision,
    Explanation,
    Gate,
    OpenedFile,
    Questions,
    Replacement,
    Subject,
    audit_plan_pruning,
    audit_public_key,
    audit_verify,
    inotify_add,
    inotify_create,
    spawn_confined,
    toml_parse,
    toml_position,
)
from airssys.osl.errors import (
    AccessDenied,
    AuditTruncated,
    ConfinementUnavailable,
    OslError,
    PolicyError,
)

if TYPE_CHECKING:
    from airssys.errors import AirsSysError

__all__ = [
    "AuditLog",
    "AuditReader",
    "Callers",
    "Child",
    "Decision",
    "Explanation",
    "Gate",
    "OpenedFile",
    "Questions",
    "Replacement",
    "Subject",
    "audit_plan_pruning",
    "audit_public_key",
    "audit_verify",
    "inotify_add",
    "inotify_create",
    "spawn_confined",
    "toml_parse",
    "toml_position",
    "typed",
]

_TYPES: dict[str, type[OslError]] = {
    "access-denied": AccessDenied,
    "hard-link": AccessDenied,
    "dangling-link": AccessDenied,
    "moved": AccessDenied,
    "not-regular": AccessDenied,
    "target-invalid": AccessDenied,
    "audit-truncated": AuditTruncated,
    "rule-invalid": PolicyError,
    "confinement-unavailable": ConfinementUnavailable,
}


def typed(error: AirsSysError) -> AirsSysError:
    """Return a native failure as the class of this package that callers handle."""
    if isinstance(error, OslError):
        return error
    kind = _TYPES.get(error.code, OslError)
    return kind(error.message, code=error.code, **error.context)
