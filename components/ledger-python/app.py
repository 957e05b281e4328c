"""Keeps a ledger in storage, in Python.

Messages, in JSON: `{"transfer": {"from": …, "to": …, "amount": …}}` moves an amount between two
accounts, both or neither, and publishes it under `ledger.transferred`; `{"balance": account}` asks
for one; `{"remind": seconds}` has the ledger publish `ledger.reminded` later; `"accounts"` lists
them.
"""

import json

from componentize_py_types import Err, Result
from wit_world import exports
from wit_world.imports import airssys_core_types as types  # storage has a `types` of its own
from wit_world.imports import batch, host, store, timers, topics

JSON = b"\x80\x04"


def read(payload: bytes) -> object:
    if not payload.startswith(JSON):
        raise Err(types.Error_Undecodable("a JSON payload is expected"))
    try:
        return json.loads(payload[len(JSON) :])
    except ValueError as error:
        raise Err(types.Error_Undecodable(str(error))) from error


def write(value: object) -> bytes:
    return JSON + json.dumps(value).encode()


def balance(account: str) -> tuple[int, int | None]:
    """The balance of an account, and the version that a change is conditional on."""
    entry = store.get_entry(f"account/{account}")
    return (0, None) if entry is None else (int(entry.value), entry.version)


def transfer(source: str, target: str, amount: int) -> dict[str, int]:
    before, seen = balance(source)
    other, other_seen = balance(target)
    operations = [
        batch.Operation_Check(batch.Condition(f"account/{source}", seen)),
        batch.Operation_Check(batch.Condition(f"account/{target}", other_seen)),
        batch.Operation_Set(batch.Put(f"account/{source}", str(before - amount).encode(), None)),
        batch.Operation_Set(batch.Put(f"account/{target}", str(other + amount).encode(), None)),
    ]
    if isinstance(batch.apply(operations), batch.Outcome_Conflict):
        raise Err(types.Error_Refused("somebody else changed an account; try again"))
    return {source: before - amount, target: other + amount}


def act(request: object) -> object:
    match request:
        case {"transfer": {"from": str(source), "to": str(target), "amount": int(amount)}}:
            balances = transfer(source, target, amount)
            topics.publish("ledger.transferred", write(balances))
            return balances
        case {"balance": str(account)}:
            return balance(account)[0]
        case {"remind": int(seconds) | float(seconds)}:
            return timers.send_after(int(seconds * 1e9), write("reminded"))
        case "reminded":
            topics.publish("ledger.reminded", write(host.self().name))
            return None
        case "accounts":
            return store.keys("account/", None, 100).keys
    raise Err(types.Error_Unhandled(f"no such request: {request!r}"))


class Handler(exports.Handler):
    def handle_message(self, message: types.Message) -> bytes | None:
        try:
            answer = act(read(message.payload))
        except Err as error:
            if isinstance(error.value, types.Error):
                raise
            # Storage or a topic refused; the ledger is as it was.
            raise Err(types.Error_Refused(repr(error.value))) from error
        return write(answer) if message.wants_reply else None

    def handle_callback(
        self, correlation: int, outcome: Result[bytes | None, types.DeliveryError]
    ) -> None:
        raise Err(types.Error_Unhandled("a ledger asks nobody"))


class Lifecycle(exports.Lifecycle):
    def initialize(self, config: list[tuple[str, types.Setting]]) -> None:
        pass

    def health(self) -> types.HealthReport:
        keys = store.usage().keys
        status = types.HealthStatus.HEALTHY if keys else types.HealthStatus.DEGRADED
        return types.HealthReport(status, f"{keys} accounts")

    def metadata(self) -> types.ComponentMetadata:
        return types.ComponentMetadata("demo/ledger", "1.0.0", "keeps a ledger", [0x0200])

    def shutdown(self, reason: exports.lifecycle.ShutdownReason) -> None:
        pass
