"""Callables around operations."""

from airssys.osl.middleware.actions import (
    Action,
    Backoff,
    Continue,
    Replace,
    Retry,
    Stop,
    Suppress,
    hooks,
)
from airssys.osl.middleware.chain import Call, Middleware, Proceed, middleware
from airssys.osl.middleware.dry_run import dry_run
from airssys.osl.middleware.metrics import Metrics, OperationStatistics
from airssys.osl.middleware.outcomes import audit
from airssys.osl.middleware.rate_limit import rate_limit
from airssys.osl.middleware.retry import retry
from airssys.osl.middleware.timeout import timeout

__all__ = [
    "Action",
    "Backoff",
    "Call",
    "Continue",
    "Metrics",
    "Middleware",
    "OperationStatistics",
    "Proceed",
    "Replace",
    "Retry",
    "Stop",
    "Suppress",
    "audit",
    "dry_run",
    "hooks",
    "middleware",
    "rate_limit",
    "retry",
    "timeout",
]
