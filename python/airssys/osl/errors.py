"""What goes wrong in the operating-system layer, by the type a caller would handle.

Failures of the effect itself (a missing file, a refused connection) stay the `OSError` that the
system reported: only decisions and limits of this layer have types of their own.
"""

from __future__ import annotations

from airssys.errors import AirsSysError

__all__ = [
    "AccessDenied",
    "ApprovalDenied",
    "AuditTruncated",
    "ConfinementUnavailable",
    "ContextExpired",
    "DefinitionError",
    "InvalidAccess",
    "LimitExceeded",
    "NoContext",
    "NotRegistered",
    "OperationTimeout",
    "OslError",
    "PolicyError",
    "RateLimited",
    "UtilityFailed",
]


class OslError(AirsSysError):
    """The root of what `airssys.osl` raises on purpose."""

    default_code = "osl-error"


class AccessDenied(OslError):
    """The gate refused; `context` names principal, kind, access, target, rule and record."""

    default_code = "access-denied"


class ApprovalDenied(AccessDenied):
    """An access needed approval, and nobody gave it in time."""

    default_code = "approval-denied"


class ContextExpired(AccessDenied):
    """The context of the caller is past its expiry."""

    default_code = "context-expired"


class AuditTruncated(OslError):
    """An audit log is behind a checkpoint, or not the one that was signed: records were removed."""

    default_code = "audit-truncated"


class NoContext(OslError):
    """An operation was started outside any context: there is no principal to decide for."""

    default_code = "no-context"


class PolicyError(OslError):
    """A policy cannot be used; `context` has `file`, `line` and `column` where they are known."""

    default_code = "policy-error"


class InvalidAccess(OslError, ValueError):
    """What was to be explained is no access of its kind, or its target is none."""

    default_code = "invalid-access"


class DefinitionError(OslError, TypeError):
    """An `@operation` or `@executor` is not what those decorators need."""

    default_code = "definition-error"


class NotRegistered(OslError, KeyError):
    """No executor is registered for an operation."""

    default_code = "not-registered"


class OperationTimeout(OslError, TimeoutError):
    """An operation took longer than it was given; its effect may have happened in part."""

    default_code = "operation-timeout"


class RateLimited(OslError):
    """A principal has used up its operations for now; `context["retry_after"]` is in seconds."""

    default_code = "rate-limited"


class LimitExceeded(OslError):
    """A bound on size or number was reached: more data than the caller asked to accept."""

    default_code = "limit-exceeded"


class ConfinementUnavailable(OslError):
    """The kernel cannot confine a child as asked, and running it unconfined was not allowed."""

    default_code = "confinement-unavailable"


class UtilityFailed(OslError):
    """A utility ended with an exit code that it does not accept, or with unreadable output."""

    default_code = "utility-failed"
