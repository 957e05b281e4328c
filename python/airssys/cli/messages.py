"""The commands that send messages to component actors: `send` and `ask`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from airssys.cli.configuration import State  # noqa: TC001 - typer looks at annotations
from airssys.cli.names import Address, connected, opened, using
from airssys.cli.output import Json, print_json, print_note, print_text
from airssys.rt import RequestDropped
from airssys.wasm import codecs

if TYPE_CHECKING:
    from airssys.wasm.actors.blocking_actor import BlockingActor
    from airssys.wasm.host_blocking import BlockingHost
    from airssys.wasm.remote import BlockingConnectedActor, BlockingConnectedHost

__all__ = ["add_to"]

Message = Annotated[
    str, typer.Argument(metavar="MESSAGE", help="The message as JSON, as '{\"add\": 2}'.")
]
CodecName = Annotated[
    str | None,
    typer.Option("--codec", metavar="NAME", help="Write it so, instead of the deployment's way."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(send)
    app.command()(ask)


def send(
    address: Address,
    message: Message,
    *,
    codec: CodecName = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Send a message to a component actor.

    Waits until it was handled; in a host that is served, until it was accepted.
    """
    value = _value(message, codec)
    host = connected(state)
    if host is not None:
        with host:
            _actor(host, address).tell(value)
        if as_json:
            print_json({"actor": address, "accepted": 1})
        else:
            print_note(f"{address} has accepted it")
        return
    from airssys.wasm.host_blocking import BlockingHost  # noqa: PLC0415 - as `using` does

    with opened(state, address.partition("#")[0]) as core:
        name, _, key = address.partition("#")
        actor = BlockingHost(core).deployment(name).actor(key)
        before = actor.inspect().books
        actor.tell(value)
        actor.stop(drain=True)
        after = actor.inspect().books
    if after.dead > before.dead:
        reasons = ", ".join(after.dead_by_reason)
        raise RequestDropped(
            f"{address} has not handled the message: {reasons}; `airssys logs` may say why"
        )
    if as_json:
        print_json({"actor": address, "handled": after.handled - before.handled})
    else:
        print_note(f"{address} has handled it")


def ask(
    address: Address,
    message: Message,
    *,
    codec: CodecName = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="The most seconds to wait.")
    ] = 5.0,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Ask a component actor, and print its reply."""
    value = _value(message, codec)
    with using(state, address.partition("#")[0]) as host:
        reply = _actor(host, address).ask(value, timeout)
    if as_json:
        print_json({"actor": address, "reply": reply})
    else:
        print_text(reply if isinstance(reply, str) else msgspec.json.encode(reply).decode())


def _value(message: str, codec: str | None) -> Any:
    try:
        value = msgspec.json.decode(message)
    except msgspec.DecodeError as error:
        raise typer.BadParameter(
            f"the message is not JSON ({error}); text stands in quotes: '\"text\"'"
        ) from error
    return value if codec is None else codecs.encode(value, codec)


def _actor(
    host: BlockingHost | BlockingConnectedHost, address: str
) -> BlockingActor | BlockingConnectedActor:
    name, _, key = address.partition("#")
    return host.deployment(name).actor(key)
