"""Decide and record, but leave the effect out."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from airssys.osl.authority import Authority
from airssys.osl.middleware.chain import Call, Middleware, Proceed, middleware
from airssys.osl.result import Result

if TYPE_CHECKING:
    from airssys.osl._native import Decision

__all__ = ["dry_run"]


def dry_run(*, priority: int = -100) -> Middleware:
    """Have every operation decided and recorded (`detail` is `dry-run`), and nothing done.

    The output is the tuple of decisions. What would be refused is refused with the same error.
    Paths are resolved as they are now; what an operation would find out on its way (the addresses
    of a name, the entries of a directory) is not decided on.
    """

    @middleware(priority=priority)
    async def run_dry(call: Call, _: Proceed) -> Result[object]:
        authority = Authority(call)
        decisions: list[Decision] = []
        started = time.time()
        for permission in call.operation.permissions():
            target = permission.target
            if permission.kind == "filesystem":
                target = os.path.realpath(target)
            decisions.append(
                await authority.decide(permission.kind, permission.access, target, detail="dry-run")
            )
        return Result(tuple(decisions), started, time.time() - started, metadata={"dry_run": True})

    return run_dry
