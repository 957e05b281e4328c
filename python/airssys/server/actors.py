"""Operations on component actors: start, look, tell, ask, stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airssys.rt import Priority
from airssys.server.operation import Asked, Operation, packed
from airssys.wasm import codecs
from airssys.wasm.actors.live import LiveActor, look_at
from airssys.wasm.remote.errors import InvalidRequest
from airssys.wasm.remote.kept_actors import kept_actors
from airssys.wasm.remote.wire import ActorState, KeptActors, StopRequest

if TYPE_CHECKING:
    from typing import Any

    from starlette.responses import Response

    from airssys.wasm.actors.ref import ComponentRef

__all__ = ["OPERATIONS"]

_PRIORITIES = {int(each) for each in Priority}


async def _actors(asked: Asked) -> tuple[LiveActor, ...]:
    core = asked.service.core
    return await look_at(core.fleet(core.deployments.serving(asked.name)), core.actors.system)


async def _kept(asked: Asked) -> list[KeptActors]:
    return await asked.service.in_thread(kept_actors, asked.service.core.registry)


async def _start(asked: Asked) -> ActorState:
    ref = await _ref(asked)
    return ActorState(address=ref.address, alive=ref.alive, codec=ref.place.codec)


async def _tell(asked: Asked) -> None:
    payload = await _payload(asked)
    ref = await _ref(asked)
    message: Any = payload
    ref.tell(message, _priority(asked), asked.number("ttl"))


async def _ask(asked: Asked) -> Response:
    payload = await _payload(asked)
    timeout = asked.number("timeout", 5.0) or 0.0
    ref = await _ref(asked)
    asking = ref.place.ask_payload(payload, timeout, _priority(asked))
    return packed(await asked.while_wanted(asking))


async def _stop(asked: Asked) -> str:
    what = await asked.json(StopRequest)
    ref = await _ref(asked)
    if what.kill:
        return (await ref.kill()).kind
    return (await ref.stop(timeout=what.timeout, drain=what.drain)).kind


async def _ref(asked: Asked) -> ComponentRef[Any]:
    return await asked.service.host.deployment(asked.name).start(asked.text("key"))


async def _payload(asked: Asked) -> bytes:
    """Return the payload of a message; JSON becomes one in the codec JSON."""
    body = await asked.body()
    prefix = codecs.write_prefix(codecs.PREFIXES["json"])
    return prefix + body if asked.media == "application/json" else body


def _priority(asked: Asked) -> Priority:
    given = asked.number("priority", float(Priority.NORMAL))
    if given not in _PRIORITIES:
        raise InvalidRequest(f"priority={given}: expected one of {sorted(_PRIORITIES)}")
    return Priority(int(given))


_NAME = "/v1/deployments/{name}"
_KEY = {"key": "Which of the deployment's actors; the main one where it is left out."}
_PRIORITY = {"priority": "The lane that the message goes to, by its number."}

OPERATIONS = (
    Operation(
        "GET",
        "/v1/actors",
        "read",
        "List what is kept of the actors of every deployment that has actors.",
        _kept,
        gives=list[KeptActors],
    ),
    Operation(
        "GET",
        _NAME + ":actors",
        "read",
        "List the actors of a deployment as they run.",
        _actors,
        gives=list[LiveActor],
    ),
    Operation(
        "POST",
        _NAME + ":start",
        "call",
        "Start an actor where it is not there, and show it.",
        _start,
        gives=ActorState,
        query=_KEY,
    ),
    Operation(
        "POST",
        _NAME + ":tell",
        "call",
        "Queue a message to an actor: a payload with its prefix, or JSON.",
        _tell,
        takes=bytes,
        media="application/octet-stream",
        query={**_KEY, **_PRIORITY, "ttl": "Seconds after which it is no longer handled."},
    ),
    Operation(
        "POST",
        _NAME + ":ask",
        "call",
        "Ask an actor; the reply is its payload, packed.",
        _ask,
        takes=bytes,
        gives=bytes,
        media="application/octet-stream",
        query={**_KEY, **_PRIORITY, "timeout": "Seconds for waiting, queue and handling."},
    ),
    Operation(
        "POST",
        _NAME + ":stop",
        "deploy",
        "Stop an actor for good, or kill its incarnation; tells the kind of its end.",
        _stop,
        takes=StopRequest,
        gives=str,
        query=_KEY,
        records="stop",
    ),
)
