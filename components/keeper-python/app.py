"""Keeps values by key, in Python.

Messages, in JSON: `{"put": {"key": …, "value": …}}`, `{"get": key}`, `{"delete": key}`, `"keys"`.
The answer is `{"value": …, "path": ["keeper (Python)"]}`. A snapshot carries the values over
restarts.
"""

import json

from componentize_py_types import Err, Result
from wit_world import exports
from wit_world.imports import host, types

JSON = b"\x80\x04"

values: dict[str, object] = {}


class Handler(exports.Handler):
    def handle_message(self, message: types.Message) -> bytes | None:
        answer = {"value": act(read(message.payload)), "path": ["keeper (Python)"]}
        return JSON + json.dumps(answer).encode()

    def handle_callback(
        self, correlation: int, outcome: Result[bytes | None, types.DeliveryError]
    ) -> None:
        raise Err(types.Error_Unhandled("a keeper asks nobody"))


def read(payload: bytes) -> object:
    if not payload.startswith(JSON):
        raise Err(types.Error_Undecodable("a JSON payload is expected"))
    try:
        return json.loads(payload[len(JSON) :])
    except ValueError as error:
        raise Err(types.Error_Undecodable(str(error))) from error


def act(request: object) -> object:
    match request:
        case {"put": {"key": str(key), "value": value}}:
            previous = values.get(key)
            values[key] = value
            host.log(types.LogLevel.DEBUG, "stored", [("key", key)])
            return previous
        case {"get": str(key)}:
            if key not in values:
                raise Err(types.Error_Refused(f"nothing is kept under {key}"))
            return values[key]
        case {"delete": str(key)}:
            return values.pop(key, None)
        case "keys":
            return sorted(values)
    raise Err(types.Error_Unhandled(f"put, get, delete or keys expected, not {request!r}"))


class State(exports.State):
    def snapshot(self) -> bytes:
        return json.dumps(values).encode()

    def restore(self, snapshot: bytes) -> None:
        values.clear()
        values.update(json.loads(snapshot))

    def migrate(self, version: str, snapshot: bytes) -> bytes:
        return snapshot


class Lifecycle(exports.Lifecycle):
    def initialize(self, config: list[tuple[str, types.Setting]]) -> None:
        pass

    def health(self) -> types.HealthReport:
        return types.HealthReport(types.HealthStatus.HEALTHY, f"{len(values)} values")

    def metadata(self) -> types.ComponentMetadata:
        return types.ComponentMetadata("demo/keeper", "1.0.0", "keeps values", [0x0200])

    def shutdown(self, reason: exports.lifecycle.ShutdownReason) -> None:
        pass
