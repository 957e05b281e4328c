"""Policies that change while a server runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from airssys.errors import AirsSysError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airssys.osl import OSL

__all__ = ["following_policy"]

_log: Final = logging.getLogger("airssys.server")


@contextlib.asynccontextmanager
async def following_policy(osl: OSL) -> AsyncIterator[None]:
    """Take the policy files as they change, where there are any; until the block ends."""
    if not osl.policy_files:
        yield
        return
    following = asyncio.create_task(_follow(osl))
    try:
        yield
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


async def _follow(osl: OSL) -> None:
    try:
        await osl.follow_policy()
    except (AirsSysError, OSError) as error:
        _log.error(
            "policy files are not watched, so that changes count at the next start: %s", error
        )
