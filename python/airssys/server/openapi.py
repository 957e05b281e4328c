"""The description of the control API (OpenAPI 3.1), made from its operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airssys.server.operation import Asked, Operation
from airssys.wasm.remote import values
from airssys.wasm.remote.problems import MEDIA_TYPE, Problem
from airssys.wasm.remote.request import JSON

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["describe", "describing"]

_BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}


def describing(operations: Sequence[Operation]) -> Operation:
    """Return the operation that gives the description of the others."""
    document = describe(operations)

    async def show(_asked: Asked) -> dict[str, Any]:
        return document

    return Operation(
        "GET", "/v1/openapi.json", "read", "Show this description.", show, gives=dict[str, Any]
    )


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the description as a document of plain values."""
    kinds: list[Any] = [Problem]
    for operation in operations:
        kinds += [kind for kind in (operation.takes, operation.gives) if kind not in (None, bytes)]
    schemas, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    found = dict(zip(map(str, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = _operation(operation, found)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AirsSys control API",
            "version": "1",
            "description": (
                "What `airssys serve` answers on its control socket. The slashes of a deployment's "
                "name stand as they are in the path, a verb follows after a colon: "
                "`/v1/deployments/image/resizer:rollback`."
            ),
        },
        "security": [{"peer": []}, {"token": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "peer": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "host",
                    "description": "On a socket the kernel says who is at the other end.",
                },
            },
        },
    }


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _identifier(operation),
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": {
            str(operation.status if operation.gives is not None else 204): {
                "description": "Done.",
                **_answer(operation, schemas),
            },
            "default": {
                "description": "What went wrong.",
                "content": {MEDIA_TYPE: {"schema": schemas[str(Problem)]}},
            },
        },
    }
    if operation.role is None:
        described["security"] = []
    else:
        described["description"] = f"Needs the role `{operation.role}`."
    if operation.takes is not None:
        schema = _BINARY if operation.takes is bytes else schemas[str(operation.takes)]
        described["requestBody"] = {"content": {operation.media: {"schema": schema}}}
    return described


def _answer(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    if operation.gives is None:
        return {}
    if operation.gives is bytes:
        return {"content": {values.MEDIA_TYPE: {"schema": _BINARY}}}
    if operation.path == "/v1/events":
        media = "text/event-stream"
    elif operation.gives is str and not operation.path.startswith("/v1"):
        media = "text/plain"
    else:
        media = JSON
    return {"content": {media: {"schema": schemas[str(operation.gives)]}}}


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found = []
    for part in ("name", "number"):
        if f"{{{part}}}" in operation.path:
            schema = {"type": "string" if part == "name" else "integer"}
            found.append({"name": part, "in": "path", "required": True, "schema": schema})
    for name, text in operation.query.items():
        found.append(
            {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        )
    return found


def _identifier(operation: Operation) -> str:
    """Return a name that is the operation's own, as `postDeploymentRollback`."""
    words = operation.path.replace("{name}", "deployment").replace("{number}", "approval")
    parts = [each for each in words.replace(":", "/").replace(".", "/").split("/") if each]
    return operation.method.lower() + "".join(part[0].upper() + part[1:] for part in parts)
