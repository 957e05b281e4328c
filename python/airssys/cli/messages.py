"""The commands that send messages to component actors: `send` and `ask`."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path  # noqa: TC003 - typer looks at annotations
from typing import TYPE_CHECKING, Annotated, Any, Final, overload

import msgspec
import typer

from airssys.cli.configuration import State  # noqa: TC001 - typer looks at annotations
from airssys.cli.names import Address, connected, opened
from airssys.cli.output import Json, print_json, print_note, print_text
from airssys.rt import AskTimeout, RequestDropped
from airssys.wasm import codecs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airssys.wasm.actors.blocking_actor import BlockingActor
    from airssys.wasm.host_blocking import BlockingHost
    from airssys.wasm.host_core import HostCore
    from airssys.wasm.remote import BlockingConnectedActor, BlockingConnectedHost

__all__ = ["add_to"]

#: Seconds of the longest wait: a year.
_LONGEST: Final = 31_536_000


def _waited(seconds: float) -> float:
    if not 0 < seconds <= _LONGEST:
        raise typer.BadParameter(
            f"{seconds:g} is no time to wait: expected seconds above 0, at most {_LONGEST}"
        )
    return seconds


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

    with _opened(state, address) as core:
        actor = _actor(BlockingHost(core), address)
        before = actor.inspect().books
        actor.tell(value)
        actor.stop(drain=True)
        after = actor.inspect().books
        if after.dead > before.dead:
            raise _dropped(address, core)
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
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="The most seconds to wait.",
            callback=_waited,
        ),
    ] = 5.0,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Ask a component actor, and print its reply."""
    value = _value(message, codec)
    try:
        reply = _answer(state, address, value, timeout)
    except AskTimeout as error:
        name = address.partition("#")[0]
        raise AskTimeout(
            f"{address} has not answered within {timeout:g} s; --timeout waits longer, "
            f"`airssys logs {name}` may say what it does"
        ) from error
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


def _answer(state: Path | None, address: str, value: Any, timeout: float) -> Any:
    host = connected(state)
    if host is not None:
        with host:
            return _actor(host, address).ask(value, timeout)
    from airssys.wasm.host_blocking import BlockingHost  # noqa: PLC0415 - as `using` does

    with _opened(state, address) as core:
        actor = _actor(BlockingHost(core), address)
        try:
            return actor.ask(value, timeout)
        except RequestDropped as error:
            actor.stop(drain=True)  # by then the dead letter is there too
            raise _dropped(address, core) from error


@contextlib.contextmanager
def _opened(state: Path | None, address: str) -> Iterator[HostCore]:
    """Open the deployment of an address; what becomes of the message is not for the log as well."""
    log = logging.getLogger("airssys.rt.dead_letters")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with opened(state, address.partition("#")[0]) as core:
            yield core
    finally:
        log.setLevel(before)


def _dropped(address: str, core: HostCore) -> RequestDropped:
    """Say what became of the last message that died."""
    letter = core.actors.system.dead_letters.kept[-1]
    words = "" if letter.error is None else f": {str(letter.error).splitlines()[0]}"
    return RequestDropped(
        f"{address} has not handled the message ({letter.reason}){words}; "
        f"`airssys logs {address.partition('#')[0]}` may say more",
        reason=letter.reason,
    )


@overload
def _actor(host: BlockingHost, address: str) -> BlockingActor: ...


@overload
def _actor(host: BlockingConnectedHost, address: str) -> BlockingConnectedActor: ...


def _actor(
    host: BlockingHost | BlockingConnectedHost, address: str
) -> BlockingActor | BlockingConnectedActor:
    name, _, key = address.partition("#")
    return host.deployment(name).actor(key)
