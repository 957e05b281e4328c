"""How operations ended, in the same log as the decisions about them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from airssys.osl.errors import AccessDenied
from airssys.osl.middleware.chain import Call, Middleware, Proceed, middleware

if TYPE_CHECKING:
    from airssys.osl.result import Result

__all__ = ["audit"]


def audit(*, priority: int = 70) -> Middleware:
    """Record after each operation how it ended, and how long it took.

    Decisions are recorded in any case, before the effect; this adds a record of the outcome with
    the decision `outcome`, the id of the operation, and the error if there was one. Refusals have
    their record already.
    """

    @middleware(priority=priority)
    async def run_audit(call: Call, proceed: Proceed) -> Result[object]:
        begun = time.perf_counter()
        said: dict[str, object] = {"id": call.operation.id, "ended": "cancelled"}
        refused = False
        try:
            result = await proceed(call)
        except AccessDenied:
            refused = True
            raise
        except Exception as error:
            said.update(ended="failed", error=f"{type(error).__name__}: {error}")
            raise
        else:
            said["ended"] = "succeeded"
            if result.exit_code is not None:
                said["exit_code"] = result.exit_code
            return result
        finally:
            if not refused:
                said["seconds"] = round(time.perf_counter() - begun, 6)
                permissions = call.operation.permissions()
                call.system.audit.record(
                    call.subject,
                    call.operation.name,
                    permissions[0].target if permissions else "",
                    "outcome",
                    detail=json.dumps(said),
                )

    return run_audit
