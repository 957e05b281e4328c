"""Operations on trust: whose signatures count, and what is blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airssys.server.operation import MOST_VALUES, Asked, Operation
from airssys.wasm.remote.errors import InvalidRequest
from airssys.wasm.remote.wire import (
    BlockResult,
    TrustFloorRequest,
    TrustKeyRequest,
    TrustRevokeRequest,
    TrustState,
)
from airssys.wasm.trust import PublicKey, TrustStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

__all__ = ["OPERATIONS"]


def _store(asked: Asked) -> TrustStore:
    return TrustStore(asked.service.core.directory)


async def _show(asked: Asked) -> TrustState:
    store = _store(asked)

    def look() -> TrustState:
        return TrustState(keys=store.keys(), blocked=store.blocked(), floors=store.floors())

    return await asked.service.in_thread(look)


async def _add(asked: Asked) -> None:
    what = await asked.json(TrustKeyRequest)
    key = PublicKey.parse(what.key)
    trust = _store(asked).trust
    await asked.service.in_thread(trust, key, what.names, comment=what.comment)
    asked.detail = f"key {key.id} for {', '.join(what.names)}"


async def _floor(asked: Asked) -> None:
    what = await asked.json(TrustFloorRequest)
    await asked.service.in_thread(_store(asked).set_floor, what.name, what.version)
    asked.detail = f"{what.name} {what.version}"


async def _revoke(asked: Asked) -> None:
    what = await asked.json(TrustRevokeRequest)
    await asked.service.in_thread(_store(asked).revoke, what.key, what.why)
    asked.detail = f"key {what.key}"


async def _block(asked: Asked) -> BlockResult:
    why = asked.text("why")
    if not why:
        raise InvalidRequest("a component is blocked for a reason: give `why` in the query")
    component = await asked.body(MOST_VALUES)
    digest = await asked.service.in_thread(_store(asked).block, component, why)
    asked.detail = digest
    return BlockResult(digest=digest)


def _change(
    verb: str, summary: str, run: Callable[[Asked], Awaitable[None]], takes: Any
) -> Operation:
    return Operation(
        "POST",
        f"/v1/trust:{verb}",
        "approve",
        summary,
        run,
        takes=takes,
        records=f"trust-{verb}",
    )


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/trust",
        "read",
        "Show which keys count for which names, what is blocked, and the lowest versions.",
        _show,
        gives=TrustState,
    ),
    _change("add", "Let the signatures of a key count for names.", _add, TrustKeyRequest),
    _change("floor", "Let a name have no version below one.", _floor, TrustFloorRequest),
    _change(
        "revoke",
        "Let a key's signatures count no more; what only it signed is blocked.",
        _revoke,
        TrustRevokeRequest,
    ),
    Operation(
        "POST",
        "/v1/trust:block",
        "approve",
        "Let a component not run, whoever signed it.",
        _block,
        takes=bytes,
        gives=BlockResult,
        media="application/wasm",
        query={"why": "The reason, for the record."},
        records="trust-block",
    ),
)
