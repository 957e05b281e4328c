"""Asks for its own rights and records in its own words, in Python.

Messages, in JSON: `"mine"`, `{"check": [kind, access, target]}`,
`{"request": [kind, access, target], "reason": …}`, `{"emit": event, "fields": {…}}`. The answer is
what came of it.
"""

import json

from componentize_py_types import Err, Result
from wit_world import exports
from wit_world.imports import airssys_core_types as types
from wit_world.imports import airssys_security_types as rights
from wit_world.imports import audit, capabilities

JSON = b"\x80\x04"


class Handler(exports.Handler):
    def handle_message(self, message: types.Message) -> bytes | None:
        return JSON + json.dumps(act(json.loads(message.payload.removeprefix(JSON)))).encode()

    def handle_callback(
        self, correlation: int, outcome: Result[bytes | None, types.DeliveryError]
    ) -> None:
        raise Err(types.Error_Unhandled("it asks nobody"))


def act(request: object) -> object:
    try:
        match request:
            case "mine":
                return [[each.kind, each.access, each.target] for each in capabilities.mine()]
            case {"check": [kind, access, target]}:
                return said(capabilities.check(rights.Capability(kind, access, target)))
            case {"request": [kind, access, target], "reason": reason}:
                capabilities.request(rights.Capability(kind, access, target), reason)
                return "granted"
            case {"emit": event, "fields": fields}:
                audit.emit(event, list(fields.items()))
                return "recorded"
    except Err as error:
        return {"error": said(error.value)}
    raise Err(types.Error_Unhandled(f"mine, check, request or emit expected, not {request!r}"))


def said(value: object) -> object:
    """The name of a case, and what it carries."""
    name = getattr(value, "name", None) or type(value).__name__.rpartition("_")[2]
    carried = getattr(value, "value", None)
    return [name.lower(), carried] if isinstance(carried, str) else name.lower()


class Lifecycle(exports.Lifecycle):
    def initialize(self, config: list[tuple[str, types.Setting]]) -> None:
        pass

    def health(self) -> types.HealthReport:
        return types.HealthReport(types.HealthStatus.HEALTHY, "")

    def metadata(self) -> types.ComponentMetadata:
        return types.ComponentMetadata("demo/rights", "1.0.0", "asks for its rights", [0x0200])

    def shutdown(self, reason: exports.lifecycle.ShutdownReason) -> None:
        pass
